package endpoint

import "sitegate/phrase"

// The reasons for which somebody who was at the issuer is on the page to sign in again.
const (
	alertBegin   = "begin-again"
	alertAway    = "issuer-away"
	alertDenied  = "issuer-denied"
	alertSetUp   = "issuer-set-up"
	alertIDToken = "id-token"
	alertRole    = "no-role"
)

// alertOfCode is why that is, and what to do next.
func alertOfCode(lang phrase.Lang, why string) string {
	texts := map[string][3]string{ // English, French, German
		alertBegin: {"This sign-in is over: it was used already, took too long, or began in another browser. Begin again.",
			"Cette connexion n’est plus valable : elle a déjà servi, a duré trop longtemps ou a commencé dans un autre navigateur. Recommencez.",
			"Diese Anmeldung gilt nicht mehr: Sie wurde schon benutzt, hat zu lange gedauert oder in einem anderen Browser begonnen. Beginnen Sie noch einmal."},
		alertAway: {"The issuer cannot be reached from this gateway now. Sign in with a local account, or try again later.",
			"Cette passerelle ne peut pas joindre l’émetteur pour le moment. Connectez-vous avec un compte local, ou réessayez plus tard.",
			"Der Aussteller ist von diesem Gateway aus gerade nicht erreichbar. Melden Sie sich mit einem lokalen Konto an, oder versuchen Sie es später noch einmal."},
		alertDenied: {"The issuer did not let you in here. Ask who administers it to let you use this gateway.",
			"L’émetteur ne vous a pas laissé entrer. Demandez à son administrateur l’accès à cette passerelle.",
			"Der Aussteller hat Sie hier nicht zugelassen. Bitten Sie dessen Verwaltung um Zugang zu diesem Gateway."},
		alertSetUp: {"The issuer does not take this gateway’s sign-in: its client ID, secret or address for the way back is not as registered. Tell whoever runs the gateway; until then, sign in with a local account.",
			"L’émetteur refuse la connexion de cette passerelle : son identifiant client, son secret ou son adresse de retour ne sont pas ceux enregistrés. Prévenez qui gère la passerelle ; d’ici là, connectez-vous avec un compte local.",
			"Der Aussteller nimmt die Anmeldung dieses Gateways nicht an: Client-ID, Geheimnis oder Rückadresse sind nicht wie registriert. Sagen Sie es dem Betrieb des Gateways; melden Sie sich bis dahin mit einem lokalen Konto an."},
		alertIDToken: {"What the issuer sent does not hold for this gateway. Begin again; if it stays so, tell whoever runs the gateway, and sign in with a local account.",
			"Ce que l’émetteur a envoyé ne vaut pas pour cette passerelle. Recommencez ; si cela persiste, prévenez qui gère la passerelle et connectez-vous avec un compte local.",
			"Was der Aussteller geschickt hat, gilt für dieses Gateway nicht. Beginnen Sie noch einmal; bleibt es so, sagen Sie es dem Betrieb des Gateways und melden Sie sich mit einem lokalen Konto an."},
		alertRole: {"You have no role here. Ask who administers the issuer for one, then begin again.",
			"Vous n’avez aucun rôle ici. Demandez-en un à l’administrateur de l’émetteur, puis recommencez.",
			"Sie haben hier keine Rolle. Bitten Sie die Verwaltung des Ausstellers um eine, und beginnen Sie dann noch einmal."},
	}
	return inLang(lang, texts[why])
}

// inLang picks one of a text in English, French and German.
func inLang(lang phrase.Lang, t [3]string) string {
	switch lang {
	case phrase.French:
		return t[1]
	case phrase.German:
		return t[2]
	}
	return t[0]
}

// wordsOfIssuer are what leads to the issuer says.
func wordsOfIssuer(lang phrase.Lang, issuer string) string {
	return inLang(lang, [3]string{"Sign in with ", "Se connecter avec ", "Anmelden mit "}) + issuer
}
