package client

import (
	"strings"

	"sitegate/api"
)

// lang is the language of what a client says itself: en, fr, de, and their regional kinds.
// Anything else is English.
type lang string

// langOf reads a tag such as fr-CA, or de_DE.
func langOf(tag string) lang {
	tag, _, _ = strings.Cut(strings.ToLower(tag), "-")
	tag, _, _ = strings.Cut(tag, "_")
	return lang(tag)
}

// say is a sentence in the language. What is in braces is filled in with the value that
// follows its name in facts.
func (w lang) say(english string, facts ...string) string {
	if there, ok := words[w][english]; ok {
		english = there
	}
	if len(facts) == 0 {
		return english
	}
	return strings.NewReplacer(facts...).Replace(english)
}

// why is a sentence on why a session is not renewed for ever, and by whom.
func (w lang) why(e *api.Ending) string {
	said := ""
	switch e.Reason {
	case "released":
		said = w.say("This session was ended by {by}.", "{by}", w.by(e))
	case "blocked":
		said = w.say("The way to this site's licenses was blocked by {by}.", "{by}", w.by(e))
	case "conflict":
		said = w.say("Your license is active on {machine}.", "{machine}", w.machine(e))
	case "takeover":
		said = w.say("You asked for your license on {machine}.", "{machine}", w.machine(e))
	case "let-go":
		said = w.say("You let go of your license here.")
	case "unassigned":
		said = w.say("The license is not yours any more.")
	case "checkout-over":
		said = w.say("The checkout is over, and another machine is active.")
	case "license-ended":
		said = w.say("The license has ended, or is about to.")
	case "not-covered":
		said = w.say("Your account does not cover this product any more.")
	default: // of a later gateway
		said = w.say("This session has lost its license: it is not renewed any more.")
	}
	if e.Note != "" {
		said += w.say(" They say: {note}", "{note}", e.Note)
	}
	return said
}

// next is what can be done after that: where starting again would be refused, what else.
func (w lang) next(e *api.Ending) []string {
	switch e.Reason {
	case "blocked", "unassigned", "license-ended", "not-covered":
		return []string{w.say("Save your work."), w.say("Ask your license administrator.")}
	case "conflict", "checkout-over":
		return []string{w.say("Save your work."), w.say("Close the application on {machine}, then start again here.", "{machine}", w.machine(e))}
	}
	return []string{w.say("Save your work and start again.")}
}

// by is who has ended it.
func (w lang) by(e *api.Ending) string {
	if e.By == "" {
		return w.say("an administrator")
	}
	return e.By
}

// machine is the one that is active, or is to be, instead.
func (w lang) machine(e *api.Ending) string {
	if e.Machine == "" {
		return w.say("another machine")
	}
	return w.say(`"{name}"`, "{name}", e.Machine)
}

// words are what the client itself says, by language and by what it is in English. What
// the gateway says comes in the user's language already.
var words = map[lang]map[string]string{
	"fr": {
		"No license gateway answers":                                                                                "Aucune passerelle de licences ne répond",
		"The license gateway of this site cannot be reached.":                                                       "La passerelle de licences de ce site est injoignable.",
		"Check that this computer is on the site's network.":                                                        "Vérifiez que ce poste est sur le réseau du site.",
		"Ask IT whether the license gateway is running.":                                                            "Demandez à l’informatique si la passerelle de licences fonctionne.",
		"The license gateway is not trusted":                                                                        "La passerelle de licences n’est pas reconnue",
		"Ask IT for the site's CA file, site-ca.pem, and name it: --ca FILE for seat, Config.CA for a program.":     "Demandez à l’informatique le fichier d’autorité du site, site-ca.pem, et indiquez-le : --ca FILE pour seat, Config.CA pour un programme.",
		"The license gateway's certificate is for another name than the one in its URL.":                            "Le certificat de la passerelle de licences porte un autre nom que celui de son URL.",
		"Write the gateway's URL with a name that its certificate is for; IT knows it.":                             "Écrivez l’URL de la passerelle avec un nom de son certificat ; l’informatique le connaît.",
		"The license gateway's certificate is not valid at this computer's time.":                                   "Le certificat de la passerelle de licences n’est pas valable à l’heure de ce poste.",
		"Check the date and time of this computer.":                                                                 "Vérifiez la date et l’heure de ce poste.",
		"Ask IT to renew the gateway's certificate.":                                                                "Demandez à l’informatique de renouveler le certificat de la passerelle.",
		"The license gateway's certificate is not by an authority that is known here.":                              "Le certificat de la passerelle de licences vient d’une autorité inconnue ici.",
		"Not a license gateway":                                                                                     "Pas une passerelle de licences",
		"What answers there is not a license gateway.":                                                              "Ce qui répond là n’est pas une passerelle de licences.",
		"Check the gateway's URL.":                                                                                  "Vérifiez l’URL de la passerelle.",
		"This machine waits no more":                                                                                "Ce poste n’attend plus",
		"This machine does not wait for the license any more: another one of yours does, or the wait was given up.": "Ce poste n’attend plus la licence : un autre de vos postes l’attend, ou l’attente a été abandonnée.",
		"Ask again on the machine that is to wait.":                                                                 "Redemandez-la sur le poste qui doit attendre.",
		"The license lease has run out":                                                                             "Le bail de la licence est échu",
		"The license gateway has not confirmed this session in time; the license may be given to another machine.":  "La passerelle de licences n’a pas confirmé cette session à temps ; la licence peut être donnée à un autre poste.",
		"Save your work and start again when the gateway can be reached.":                                           "Enregistrez votre travail et redémarrez quand la passerelle est joignable.",
		"The sign-in cannot be renewed":                                                                             "La connexion ne peut pas être renouvelée",
		"Your sign-in is to be renewed, and that cannot be done now.":                                               "Votre connexion doit être renouvelée, et cela n’est pas possible maintenant.",
		"Check that this computer reaches the sign-in, and try again.":                                              "Vérifiez que ce poste atteint le service de connexion, puis réessayez.",
		"Ask IT whether the sign-in can be reached from here.":                                                      "Demandez à l’informatique si le service de connexion est joignable d’ici.",
		"Not signed in":                      "Pas connecté",
		"There is no valid sign-in.":         "Il n’y a pas de connexion valable.",
		"Sign in again.":                     "Reconnectez-vous.",
		"This computer's key cannot be used": "La clé de ce poste est inutilisable",
		"This computer's key cannot be used, and the license gateway knows the machine by it.":                                               "La clé de ce poste est inutilisable, et c’est par elle que la passerelle de licences connaît ce poste.",
		"Try again; if it stays so, restart the computer.":                                                                                   "Réessayez ; si cela persiste, redémarrez le poste.",
		"If the key is lost, have IT take it from this machine (sitegate machines forget-key), and delete its file: a new one will be made.": "Si la clé est perdue, faites-la retirer de ce poste par l’informatique (sitegate machines forget-key) et supprimez son fichier : une nouvelle sera créée.",
		"The session is over": "La session est terminée",
		"This session has lost its license: it is not renewed any more.": "Cette session a perdu sa licence : elle n’est plus renouvelée.",
		"Save your work and start again.":                                "Enregistrez votre travail et redémarrez.",
		"Save your work.":                                                "Enregistrez votre travail.",
		"Close the application on {machine}, then start again here.":     "Fermez l’application sur {machine}, puis redémarrez-la ici.",
		"Notices have ended":                                             "Fin des avis",
		"The gateway does not send notices to this client any more.":     "La passerelle n’envoie plus d’avis à ce programme.",
		"Another connection has taken this client's place.":              "Une autre connexion a pris la place de ce programme.",
		"This user may not connect to the license gateway.":              "Cet utilisateur n’est pas admis à la passerelle de licences.",
		"Ask your license administrator.":                                "Adressez-vous à l’administrateur de vos licences.",
		"Some notices were missed.":                                      "Des avis ont été manqués.",
		"an administrator":                                               "l’administration",
		"another machine":                                                "l’autre poste",
		`"{name}"`:                                                       "« {name} »",
		"This session was ended by {by}.":                                "Cette session a été terminée par {by}.",
		"Your license is active on {machine}.":                           "Votre licence est active sur {machine}.",
		"You asked for your license on {machine}.":                       "Vous avez demandé votre licence sur {machine}.",
		"You let go of your license here.":                               "Vous avez cédé votre licence ici.",
		"The license is not yours any more.":                             "La licence n’est plus à vous.",
		"The checkout is over, and another machine is active.":           "L’emprunt est terminé, et un autre poste est actif.",
		"The way to this site's licenses was blocked by {by}.":           "L’accès aux licences de ce site a été bloqué par {by}.",
		"The license has ended, or is about to.":                         "La licence a pris fin, ou le fera bientôt.",
		"Your account does not cover this product any more.":             "Votre compte ne couvre plus ce produit.",
		" They say: {note}":                                              " Message : {note}",
	},
	"de": {
		"No license gateway answers":                                                                                "Kein Lizenz-Gateway antwortet",
		"The license gateway of this site cannot be reached.":                                                       "Das Lizenz-Gateway dieses Standorts ist nicht zu erreichen.",
		"Check that this computer is on the site's network.":                                                        "Prüfen Sie, ob dieser Rechner im Netz des Standorts ist.",
		"Ask IT whether the license gateway is running.":                                                            "Fragen Sie die IT, ob das Lizenz-Gateway läuft.",
		"The license gateway is not trusted":                                                                        "Dem Lizenz-Gateway wird nicht vertraut",
		"Ask IT for the site's CA file, site-ca.pem, and name it: --ca FILE for seat, Config.CA for a program.":     "Fragen Sie die IT nach der CA-Datei des Standorts, site-ca.pem, und geben Sie sie an: --ca FILE bei seat, Config.CA in einem Programm.",
		"The license gateway's certificate is for another name than the one in its URL.":                            "Das Zertifikat des Lizenz-Gateways lautet auf einen anderen Namen als den in seiner URL.",
		"Write the gateway's URL with a name that its certificate is for; IT knows it.":                             "Schreiben Sie die URL des Gateways mit einem Namen, auf den sein Zertifikat lautet; die IT kennt ihn.",
		"The license gateway's certificate is not valid at this computer's time.":                                   "Das Zertifikat des Lizenz-Gateways ist zur Uhrzeit dieses Rechners nicht gültig.",
		"Check the date and time of this computer.":                                                                 "Prüfen Sie Datum und Uhrzeit dieses Rechners.",
		"Ask IT to renew the gateway's certificate.":                                                                "Bitten Sie die IT, das Zertifikat des Gateways zu erneuern.",
		"The license gateway's certificate is not by an authority that is known here.":                              "Das Zertifikat des Lizenz-Gateways stammt von einer Stelle, die hier nicht bekannt ist.",
		"Not a license gateway":                                                                                     "Kein Lizenz-Gateway",
		"What answers there is not a license gateway.":                                                              "Was dort antwortet, ist kein Lizenz-Gateway.",
		"Check the gateway's URL.":                                                                                  "Prüfen Sie die URL des Gateways.",
		"This machine waits no more":                                                                                "Dieser Rechner wartet nicht mehr",
		"This machine does not wait for the license any more: another one of yours does, or the wait was given up.": "Dieser Rechner wartet nicht mehr auf die Lizenz: ein anderer von Ihnen wartet, oder das Warten wurde aufgegeben.",
		"Ask again on the machine that is to wait.":                                                                 "Fragen Sie auf dem Rechner neu an, der warten soll.",
		"The license lease has run out":                                                                             "Die Frist der Lizenz ist abgelaufen",
		"The license gateway has not confirmed this session in time; the license may be given to another machine.":  "Das Lizenz-Gateway hat diese Sitzung nicht rechtzeitig bestätigt; die Lizenz kann an einen anderen Rechner gehen.",
		"Save your work and start again when the gateway can be reached.":                                           "Speichern Sie Ihre Arbeit und starten Sie neu, sobald das Gateway zu erreichen ist.",
		"The sign-in cannot be renewed":                                                                             "Die Anmeldung kann nicht erneuert werden",
		"Your sign-in is to be renewed, and that cannot be done now.":                                               "Ihre Anmeldung ist zu erneuern, und das geht jetzt nicht.",
		"Check that this computer reaches the sign-in, and try again.":                                              "Prüfen Sie, ob dieser Rechner den Anmeldedienst erreicht, und versuchen Sie es noch einmal.",
		"Ask IT whether the sign-in can be reached from here.":                                                      "Fragen Sie die IT, ob der Anmeldedienst von hier zu erreichen ist.",
		"Not signed in":                      "Nicht angemeldet",
		"There is no valid sign-in.":         "Es gibt keine gültige Anmeldung.",
		"Sign in again.":                     "Melden Sie sich neu an.",
		"This computer's key cannot be used": "Der Schlüssel dieses Rechners ist nicht zu gebrauchen",
		"This computer's key cannot be used, and the license gateway knows the machine by it.":                                               "Der Schlüssel dieses Rechners ist nicht zu gebrauchen, und an ihm erkennt das Lizenz-Gateway den Rechner.",
		"Try again; if it stays so, restart the computer.":                                                                                   "Versuchen Sie es noch einmal; bleibt es so, starten Sie den Rechner neu.",
		"If the key is lost, have IT take it from this machine (sitegate machines forget-key), and delete its file: a new one will be made.": "Ist der Schlüssel verloren, lassen Sie ihn von der IT diesem Rechner nehmen (sitegate machines forget-key) und löschen Sie seine Datei: ein neuer wird erzeugt.",
		"The session is over": "Die Sitzung ist zu Ende",
		"This session has lost its license: it is not renewed any more.": "Diese Sitzung hat ihre Lizenz verloren: sie wird nicht mehr erneuert.",
		"Save your work and start again.":                                "Speichern Sie Ihre Arbeit und starten Sie neu.",
		"Save your work.":                                                "Speichern Sie Ihre Arbeit.",
		"Close the application on {machine}, then start again here.":     "Schließen Sie die Anwendung auf {machine} und starten Sie sie dann hier neu.",
		"Notices have ended":                                             "Keine Meldungen mehr",
		"The gateway does not send notices to this client any more.":     "Das Gateway schickt diesem Programm keine Meldungen mehr.",
		"Another connection has taken this client's place.":              "Eine andere Verbindung ist an die Stelle dieses Programms getreten.",
		"This user may not connect to the license gateway.":              "Dieser Benutzer darf sich nicht mit dem Lizenz-Gateway verbinden.",
		"Ask your license administrator.":                                "Wenden Sie sich an Ihre Lizenzadministration.",
		"Some notices were missed.":                                      "Einige Meldungen wurden verpasst.",
		"an administrator":                                               "der Administration",
		"another machine":                                                "dem anderen Rechner",
		`"{name}"`:                                                       "„{name}“",
		"This session was ended by {by}.":                                "Diese Sitzung wurde von {by} beendet.",
		"Your license is active on {machine}.":                           "Ihre Lizenz ist auf {machine} aktiv.",
		"You asked for your license on {machine}.":                       "Sie haben Ihre Lizenz auf {machine} verlangt.",
		"You let go of your license here.":                               "Sie haben Ihre Lizenz hier freigegeben.",
		"The license is not yours any more.":                             "Die Lizenz gehört nicht mehr Ihnen.",
		"The checkout is over, and another machine is active.":           "Die Ausleihe ist vorbei, und ein anderer Rechner ist aktiv.",
		"The way to this site's licenses was blocked by {by}.":           "Der Zugang zu den Lizenzen dieses Standorts wurde von {by} gesperrt.",
		"The license has ended, or is about to.":                         "Die Lizenz ist abgelaufen oder läuft demnächst ab.",
		"Your account does not cover this product any more.":             "Ihr Konto deckt dieses Produkt nicht mehr ab.",
		" They say: {note}":                                              " Dazu heißt es: {note}",
	},
}
