package phrase

// germanDenials are what refused users read, and what they can do.
var germanDenials = map[string]text{
	"machine-active": {
		title:  "Auf einem anderen Rechner aktiv",
		detail: "Ihre Virtuoso-Lizenz scheint auf einem anderen Rechner aktiv zu sein. Bitte schließen Sie die Anwendung auf {machine} und versuchen Sie es erneut.",
		until:  "Spätestens am {until} ist sie frei.",
	},
	"machine-active/other": {
		title:  "Auf einem anderen Rechner aktiv",
		detail: "Sie sind auf {machine} mit {holding} aktiv. Ihre Lizenzen können nur auf einem Rechner zugleich aktiv sein. Bitte schließen Sie die Anwendung auf {machine} und versuchen Sie es erneut.",
		until:  "Spätestens am {until} ist sie frei.",
	},
	"machine-active/session": {next: []string{
		"Speichern Sie Ihre Arbeit und schließen Sie die Anwendung auf {machine}.",
		"Oder warten Sie hier: Sie erfahren es, sobald die Lizenz frei ist.",
		"Wenn Sie nicht an {machine} arbeiten können, bitten Sie {admins}, die Sitzung zu beenden."}},
	"machine-active/checkout": {next: []string{
		"Geben Sie die Lizenz auf {machine} zurück; dort ist sie ausgeliehen.",
		"Wenn Sie nicht mehr an {machine} arbeiten können, weil er verloren oder defekt ist, fragen Sie {admins}."}},
	"reserved": {
		title:  "Für einen anderen Ihrer Rechner zurückgelegt",
		detail: "Ihre Lizenz ist gerade frei geworden; auf {machine} wurde zuerst danach gefragt, dafür ist sie zurückgelegt.",
		next:   []string{"Starten Sie die Anwendung von {product} auf {machine}, oder versuchen Sie es hier in einer halben Minute erneut."},
		until:  "Ab {until} ist sie für alle Ihre Rechner frei.",
	},
	"not-assigned": {
		title:  "Keine Lizenz zugewiesen",
		detail: "Ihnen ist keine Lizenz von {product} zugewiesen.",
		next: []string{"Prüfen Sie, ob Sie mit der E-Mail-Adresse angemeldet sind, der die Lizenz zugewiesen ist.",
			"Bitten Sie {admins}, Ihnen eine Lizenz von {product} zuzuweisen."},
	},
	"not-assigned/email": {
		title:  "Einer anderen E-Mail-Adresse zugewiesen",
		detail: "Ihre Lizenz von {product} ist {email} zugewiesen; angemeldet sind Sie mit einer anderen E-Mail-Adresse.",
		next: []string{"Melden Sie sich ab, melden Sie sich als {email} an, und starten Sie erneut.",
			"Ist das nicht mehr Ihre Adresse, bitten Sie {admins}, Ihre E-Mail-Adresse zu ändern; gelöscht werden dürfen Sie dafür nicht."},
	},
	"no-country": {
		title:  "Kein Land",
		detail: "Im Konto dieses Standorts ist für Sie kein Berechtigungsland eingetragen; ohne das kann keine Lizenz genutzt werden.",
		next:   []string{"Bitten Sie {admins}, Ihr Land einzutragen, wählen Sie dann „Aktualisieren“ und starten Sie erneut."},
	},
	"country": {
		title:  "Nicht für Ihr Land",
		detail: "Die Lizenz von {product} gilt nicht für Ihr Berechtigungsland.",
		next: []string{"Klären Sie, ob Ihr Land richtig eingetragen ist: {admins}.",
			"Bitten Sie {admins} um eine Lizenz, die für Ihr Land gilt."},
	},
	"feature-level": {
		title:  "Keine Funktionsstufe",
		detail: "{product} gibt es in Funktionsstufen, und der Start nennt keine.",
		next:   []string{"Wählen Sie in den Einstellungen von {product} eine Funktionsstufe und starten Sie erneut."},
	},
	"license-ended": {
		title:  "Die Lizenz ist abgelaufen",
		detail: "Ihre Lizenz von {product} ist am {until} abgelaufen.",
		next:   []string{"Bitten Sie {admins}, sie zu verlängern oder Ihnen eine andere zuzuweisen."},
	},
	"license-not-started": {
		title:  "Die Lizenz gilt noch nicht",
		detail: "Ihre Lizenz von {product} gilt ab {until}.",
		next:   []string{"Versuchen Sie es dann erneut, oder bitten Sie {admins} um eine Lizenz, die jetzt gilt."},
	},
	"cloud-needed": {
		title:  "Die Lizenz-Cloud muss zustimmen, antwortet aber nicht",
		detail: "Die Verbindung zur Cloud des Herstellers ist unterbrochen, und dieser Standort darf über einen Start von {product} zurzeit nicht allein entscheiden.",
		next: []string{"Was schon läuft, läuft weiter.",
			"Versuchen Sie es in einigen Minuten erneut, oder melden Sie die Störung: {admins}.",
			"Leihen Sie {product} vorher aus, wenn Sie ohne Verbindung arbeiten werden."},
	},
	"restored": {
		title:  "Das Lizenz-Gateway wurde wiederhergestellt",
		detail: "Das Lizenz-Gateway dieses Standorts wurde wiederhergestellt und kann noch nicht wissen, auf welchem Ihrer Rechner eine Lizenz von {product} kurz davor genutzt wurde. Bis das sicher ist, wird damit nichts neu gestartet.",
		next: []string{"Was schon läuft, läuft weiter.",
			"Versuchen Sie es später erneut, oder fragen Sie {admins}."},
		until: "Ab {until} ist ein Start möglich.",
	},
	"usage-full": {
		title:  "Nutzung kann nicht mehr erfasst werden",
		detail: "An diesem Standort warten so viele Nutzungsdaten auf die Übermittlung an den Hersteller, dass eine neue Nutzung von {product} nicht mehr erfasst werden könnte.",
		next: []string{"Was schon läuft, läuft weiter.",
			"Melden Sie, dass der Platz für Nutzungsdaten voll ist: {admins}."},
	},
	"checkout-too-long": {
		title:  "Zu lang",
		detail: "Eine Lizenz von {product} kann nicht so lange ausgeliehen werden.",
		next:   []string{"Wählen Sie ein früheres Ende."},
		until:  "Das späteste Ende ist {until}.",
	},
	"checkout-in-past": {
		title:  "Das Ende ist schon vorbei",
		detail: "Das Ende der Ausleihe liegt nicht in der Zukunft.",
		next:   []string{"Wählen Sie ein späteres Ende.", "Prüfen Sie Uhr und Zeitzone dieses Rechners."},
	},
	"checkout-off": {
		title:  "In Ihrem Land nicht möglich",
		detail: "Dieses Konto erlaubt in Ihrem Land keine neuen Ausleihen. Was ausgeliehen ist, bleibt es.",
		next:   []string{"Arbeiten Sie mit einer Verbindung zum Netz.", "Fragen Sie, ob eine Ausleihe erlaubt werden kann: {admins}."},
	},
	"checkout-off/here": {
		title:  "An diesem Standort nicht möglich",
		detail: "Dieser Standort erlaubt keine neuen Ausleihen. Was ausgeliehen ist, bleibt es.",
		next:   []string{"Arbeiten Sie mit einer Verbindung zum Netz.", "Fragen Sie, ob eine Ausleihe erlaubt werden kann: {admins}."},
	},
	"checkout-written-off": {
		title:  "Abgeschrieben",
		detail: "Die Ausleihe von {product} auf diesem Rechner wurde von der Administration abgeschrieben. Sie kann nicht verlängert werden.",
		next:   []string{"Geben Sie sie zurück: Dann kann {product} wieder gestartet oder ausgeliehen werden."},
		until:  "Sie endet spätestens am {until}.",
	},
	"too-many-checkouts": {
		title:  "Zu viele Ausleihen",
		detail: "Sie haben schon {checkouts}.",
		next:   []string{"Geben Sie zurück, was Sie nicht brauchen."},
	},
	"unknown-user": {
		title:  "Hier nicht bekannt",
		detail: "Sie sind angemeldet, aber das Konto dieses Standorts kennt Sie nicht.",
		next: []string{"Prüfen Sie, ob Sie mit der Adresse angemeldet sind, die Ihr Unternehmen verwendet.",
			"Fragen Sie {admins}, ob Sie im Konto angelegt sind und ein Land haben.",
			"Ist das geschehen, wählen Sie „Aktualisieren“, oder melden Sie sich ab und neu an."},
	},
	"user-blocked": {
		title:  "Gesperrt",
		detail: "Sie sind im Konto dieses Standorts gesperrt.",
		next:   []string{"Fragen Sie {admins} nach dem Grund."},
	},
	"unknown-product": {
		title:  "Kein solches Produkt",
		detail: "Das Konto dieses Standorts hat kein Produkt mit dieser Kennung.",
		next:   []string{"Prüfen Sie die Kennung des Produkts.", "Wurde es gerade erst gekauft, versuchen Sie es in einigen Minuten erneut."},
	},
	"unknown-session": {
		title:  "Läuft nicht",
		detail: "Diese Sitzung läuft nicht oder nicht mehr.",
		next:   []string{"Starten Sie die Anwendung von {product} neu."},
	},
	"unknown-checkout": {
		title:  "Nicht ausgeliehen",
		detail: "Diese Ausleihe gibt es nicht oder nicht mehr.",
		next:   []string{"Sehen Sie in der Liste Ihrer Ausleihen nach."},
	},
	"too-many-sessions": {
		title:  "Zu viele Sitzungen",
		detail: "Sie haben schon {sessions}.",
		next:   []string{"Schließen Sie einige, oder warten Sie einige Minuten, bis die eines abgestürzten Programms enden."},
	},
	"not-yours": {
		title:  "Nicht Ihres",
		detail: "Das gehört zu einem anderen Benutzer oder einem anderen Rechner.",
		next:   []string{"Tun Sie es auf dem Rechner, auf dem es begonnen wurde, als derselbe Benutzer."},
	},
	"already-ended": {
		title:  "Schon beendet",
		detail: "Das wurde schon beendet und kann nicht weitergehen.",
		next:   []string{"Starten Sie die Anwendung von {product} neu."},
	},
	"id-in-use": {
		title:  "Kennung schon benutzt",
		detail: "Die Kennung dieser Anfrage wurde schon für etwas anderes benutzt.",
		next:   []string{"Starten Sie die Anwendung von {product} neu; jeder Start braucht eine eigene Kennung."},
	},
	"takeover-refused": {
		title:  "Auf einem anderen Rechner aktiv",
		detail: "Sie sind auf {machine} mit {holding} aktiv, und an diesem Standort kann das von einem anderen Rechner aus nicht angefordert werden.",
		next: []string{"Schließen Sie die Anwendung von {holding} auf {machine}, oder warten Sie hier: Sie erfahren es, sobald die Lizenz frei ist.",
			"Wenn Sie nicht an {machine} arbeiten können, bitten Sie {admins}, die Sitzung zu beenden."},
	},
	"takeover-not-possible": {
		title:  "Nicht zu übernehmen",
		detail: "Sie sind auf {machine} mit {holding} aktiv, und das Programm dort würde sich nicht rechtzeitig selbst beenden.",
		next: []string{"Schließen Sie die Anwendung von {holding} auf {machine}, oder warten Sie hier: Sie erfahren es, sobald die Lizenz frei ist.",
			"Wenn Sie nicht an {machine} arbeiten können, bitten Sie {admins}, die Sitzung zu beenden."},
	},
	"takeover-checkout": {
		title:  "Eine Ausleihe ist nicht zu übernehmen",
		detail: "Ihre Lizenz ist auf {machine} ausgeliehen. Eine Ausleihe kann nicht übernommen werden.",
		next: []string{"Geben Sie die Lizenz auf {machine} zurück.",
			"Wenn Sie nicht mehr an {machine} arbeiten können, weil er verloren oder defekt ist, fragen Sie {admins}."},
		until: "Spätestens am {until} ist sie frei.",
	},
	"takeover-under-way": {
		title:  "Ein anderer Ihrer Rechner übernimmt",
		detail: "Sie haben Ihre Lizenz auf {machine} angefordert; sie wird gerade für diesen Rechner frei gemacht.",
		next:   []string{"Speichern Sie Ihre Arbeit und schließen Sie die Anwendung hier; oder ziehen Sie die Anforderung auf {machine} zurück und arbeiten Sie weiter."},
		until:  "Die Sitzungen auf Ihren anderen Rechnern enden am {until}.",
	},
	"unknown-request": {
		title:  "Es wird nicht mehr angefordert",
		detail: "Diese Anforderung gibt es nicht oder nicht mehr.",
		next:   []string{"Arbeiten Sie weiter: Es ist nichts mehr zu tun."},
	},
	"too-late": {
		title:  "Zu spät",
		detail: "Die Anfrage war zu lange unterwegs; es ist nichts geschehen.",
		next:   []string{"Versuchen Sie es erneut."},
	},
	"bad-command": {
		title:  "Nicht verstanden",
		detail: "Die Anfrage nennt keinen Rechner, oder etwas darin ist leer, zu lang oder außerhalb der Grenzen.",
		next:   []string{"Aktualisieren Sie den Client; hilft das nicht, nennen Sie die Nummer dieser Antwort: {admins}."},
	},
	"unknown-user/person": {
		title:  "Nicht im Konto",
		detail: "Das Konto dieses Standorts kennt {person} nicht.",
		next:   []string{"Prüfen Sie die Kennung, oder nehmen Sie die Person zuerst mit ihrem Land in das Konto auf."},
	},
	"no-country/person": {
		title:  "Kein Land",
		detail: "Im Konto dieses Standorts ist für {person} kein Berechtigungsland eingetragen; ohne das kann keine Lizenz zugewiesen werden.",
		next:   []string{"Tragen Sie zuerst das Land im Konto ein oder wählen Sie jemand anderen."},
	},
	"user-blocked/person": {
		title:  "Im Konto gesperrt",
		detail: "{person} ist im Konto dieses Standorts gesperrt und kann keine Lizenz bekommen.",
		next:   []string{"Heben Sie zuerst die Sperre im Konto auf, oder wählen Sie jemand anderen."},
	},
	"move-locked": {
		title:  "Die Lizenz kann noch nicht umgezogen werden",
		detail: "Die Lizenz von {product} ist {person} zugewiesen. In den ersten 24 Stunden konnte sie neu zugewiesen werden; jetzt ist sie für 30 Tage fest.",
		next:   []string{"Warten Sie das Ende der Frist ab, oder weisen Sie eine andere Lizenz von {product} zu."},
		until:  "Ab {until} kann sie neu zugewiesen werden.",
	},
	"user-not-found": {
		title:  "Einer gelöschten Person zugewiesen",
		detail: "Die Lizenz von {product} ist {person} zugewiesen und damit jemandem, der aus dem Konto entfernt wurde. Die Administration des Kontos kann sie nicht mehr neu zuweisen.",
		next:   []string{"Stellen Sie beim Hersteller eine Serviceanfrage, Kategorie Licensing assistance, mit den Angaben zur entfernten Person."},
	},
	"other-account": {
		title:  "Gehört zu einem anderen Konto",
		detail: "{person} gehört zu einem anderen Konto und kann hier keine Lizenz bekommen.",
		next:   []string{"Lassen Sie die Person zuerst aus dem anderen Konto entfernen, und versuchen Sie es dann erneut."},
	},
	"cloud-cannot": {
		title:  "Nicht von hier aus",
		detail: "Die Cloud des Herstellers nimmt das von einem Standort nicht an. Es ist nichts geschehen.",
		next:   []string{"Tun Sie es auf der Seite des Herstellers für Virtuoso-Lizenzen, im Entitlement Management. Dieser Standort sieht es gleich darauf."},
	},
	"machine-blocked": {
		title:  "Dieser Rechner ist gesperrt",
		detail: "Dieser Rechner wurde an diesem Standort von {by} gesperrt.",
		next:   []string{"Arbeiten Sie auf einem anderen Rechner, oder fragen Sie {admins}."},
	},
	"user-blocked-here": {
		title:  "An diesem Standort gesperrt",
		detail: "Sie wurden an diesem Standort von {by} gesperrt.",
		next:   []string{"Fragen Sie {admins} nach dem Grund."},
	},
	"machine-clone": {
		title:  "Ein anderer Rechner trägt dieselbe Kennung",
		detail: "Auf {machine} ist etwas offen, und dieser Rechner tritt unter derselben Kennung mit einem anderen Schlüssel auf: Es ist nicht derselbe Rechner. Die IT wurde unterrichtet.",
		next:   []string{"Wenn Sie an diesem Rechner arbeiten, schließen Sie das Produkt überall sonst, warten Sie drei Minuten und versuchen Sie es noch einmal.", "Wurde er neu eingerichtet, während eine Lizenz an ihn ausgeliehen war, so bitten Sie {admins}, ihm den alten Schlüssel zu nehmen."},
	},
	"too-many-keys": {
		title:  "Zu viele Rechner",
		detail: "Sie haben hier in letzter Zeit die Schlüssel von so vielen Rechnern gezeigt, wie von einer Person aufgehoben werden; der von {machine} ist einer zu viel.",
		next:   []string{"Arbeiten Sie auf einem von diesen.", "Wenn Sie auf so vielen arbeiten, oder auf weniger, sagen Sie es {admins}: Schlüssel von Rechnern, die es nicht mehr gibt, können zurückgenommen werden."},
	},
	"machine-key-needed": {
		title:  "Dieser Rechner muss seinen Schlüssel zeigen",
		detail: "{machine} tritt an diesem Standort mit einem Schlüssel auf, oder der Standort verlangt ihn von jedem Rechner, und die Anfrage hat keinen gezeigt.",
		next:   []string{"Starten Sie das Produkt so, wie Sie es auf diesem Rechner sonst tun.", "Wenn das nicht geht, fragen Sie {admins}."},
	},
	"sign-in-needed": {
		title:  "Bitte neu anmelden",
		detail: "Sie haben so lange ohne Ihre Anmeldung gearbeitet, wie das möglich ist. Was läuft, läuft weiter; Neues kann nicht gestartet werden.",
		next:   []string{"Melden Sie sich neu an und versuchen Sie es noch einmal.", "Wenn die Anmeldung nicht zu erreichen ist, sagen Sie es der IT."},
		until:  "Möglich war es bis {until}.",
	},
	"too-many-blocks": {
		title:  "Zu viele Sperren",
		detail: "Dieser Standort hat schon {blocks}.",
		next:   []string{"Heben Sie die auf, die nicht mehr gebraucht werden."},
	},
	"unknown-token": {
		title:  "Unbekanntes Beitrittstoken",
		detail: "Dieser Verbund hat kein solches Beitrittstoken ausgestellt, oder es ist längst abgelaufen.",
		next:   []string{"Das Token noch einmal ganz kopieren, oder ein anderes ausstellen: sitegate cluster token."},
	},
	"token-used": {
		title:  "Das Beitrittstoken ist verbraucht",
		detail: "Dieses Beitrittstoken hat bereits den Knoten {node} eingelassen; jedes lässt eine Maschine ein.",
		next:   []string{"Ein anderes ausstellen: sitegate cluster token.", "Wenn Sie es nicht selbst benutzt haben, entfernen Sie diesen Knoten: sitegate cluster remove {node}."},
	},
	"token-expired": {
		title:  "Das Beitrittstoken ist abgelaufen",
		detail: "Dieses Beitrittstoken galt bis {until}.",
		next:   []string{"Ein anderes ausstellen: sitegate cluster token."},
	},
	"name-in-use": {
		title:  "Der Name ist vergeben",
		detail: "Diesen Namen gibt es schon.",
		next:   []string{"Einen anderen Namen wählen, oder zuerst entfernen, was so heißt."},
	},
	"unknown-credential": {
		title:  "Das gibt es nicht",
		detail: "Kein solches Token oder Konto gilt an diesem Standort.",
		next:   []string{"Auflisten, was es gibt; es kann abgelaufen oder zurückgenommen sein."},
	},
	"too-many-credentials": {
		title:  "Zu viele API-Token",
		detail: "{limit} API-Token gelten bereits.",
		next:   []string{"Die zurücknehmen, die niemand benutzt."},
	},
	"too-many-accounts": {
		title:  "Zu viele lokale Konten",
		detail: "Es gibt bereits {limit} lokale Konten: Sie sind für den Fall, dass sonst nichts geht.",
		next:   []string{"Zuerst eines entfernen, oder sich beim Aussteller der Firma anmelden."},
	},
	"too-many-tokens": {
		title:  "Zu viele Beitrittstoken",
		detail: "{limit} Beitrittstoken sind bereits offen.",
		next:   []string{"Diese benutzen, oder warten, bis sie abgelaufen sind."},
	},
	"node-known": {
		title:  "Der Name ist vergeben",
		detail: "Der Knoten {node} ist Mitglied dieses Verbunds, mit einem anderen Datenordner.",
		next:   []string{"Der neuen Maschine einen eigenen Namen geben.", "Ist die Platte jenes Knotens verloren oder geleert, ihn zuerst auf einem anderen Knoten entfernen, sitegate cluster remove {node}, und mit einem Token neu beitreten."},
	},
	"node-removed": {
		title:  "Aus dem Verbund entfernt",
		detail: "Der Knoten {node} wurde von {by} aus diesem Verbund entfernt, mit seinem Datenordner und seinem Zertifikat.",
		next:   []string{"Um die Maschine wieder zu benutzen, ihren Datenordner beiseitelegen und mit einem neuen Token beitreten: sitegate cluster join."},
	},
	"too-many-nodes": {
		title:  "Zu viele Namen",
		detail: "Dieser Verbund kennt {limit} Namen von Knoten, auch solche, die entfernt wurden.",
		next:   []string{"Den Namen eines entfernten Knotens wieder verwenden."},
	},
	"unknown-license": {
		title:  "Keine solche Lizenz",
		detail: "Das Konto dieses Standorts hat keine Lizenz mit dieser Kennung.",
		next:   []string{"Prüfen Sie die Kennung der Lizenz.", "Wurde sie gerade erst gekauft, versuchen Sie es in einigen Minuten erneut."},
	},
	"mirror-shrunk": {
		title:  "Mehr als die Hälfte wäre weg",
		detail: "In der Liste der Cloud fehlt mehr als die Hälfte der Benutzer, Lizenzen oder Zuweisungen, die dieser Standort kennt. Nichts davon wird weggenommen.",
		next: []string{"Sehen Sie mit sitegate status nach, wie viele fehlen, und fragen Sie den Hersteller nach dem Grund.",
			"Ist es so gemeint, nehmen Sie es mit sitegate mirror accept an."},
	},
	"mirror-follows-feed": {
		title:  "Die Liste der Cloud geht vor",
		detail: "Dieser Standort folgt der Liste, die seine Cloud aktuell hält; sie ist neuer und sicherer als jede Datei. Nichts wurde eingelesen.",
		next:   []string{"Ändern Sie es im Portal des Herstellers; in Sekunden ist es hier."},
	},
	"keys-not-held": {
		title:  "Nichts anzunehmen",
		detail: "Kein Knoten hält diesen Satz von Schlüsseln des Ausstellers zurück, oder nicht mehr.",
		next:   []string{"Sehen Sie noch einmal mit sitegate trust show nach, und nehmen Sie an, was es jetzt zeigt."},
	},
	"mirror-not-held": {
		title:  "Nichts anzunehmen",
		detail: "Der Standort folgt der Liste der Cloud; nichts davon wird zurückgehalten.",
		next:   []string{"Sehen Sie mit sitegate status nach."},
	},
}
