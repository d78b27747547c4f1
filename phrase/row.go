package phrase

import "sitegate/license"

// Row is what IT reads of a row of a bulk checkout that cannot be done: of the user,
// not to them. A reason without a sentence of its own reads as its title.
func Row(lang Lang, reason string, d license.Denial, product string) string {
	c := lang.catalog()
	sentence, ok := rowsOf(lang)[reason]
	switch t, known := c.denials[reason]; {
	case ok:
	case known:
		sentence = t.title
	default:
		sentence = c.troubles["internal"].title
		if t, known := c.troubles[reason]; known {
			sentence = t.title
		}
	}
	return c.filler(product, Machine(d.Machine), d.Until).Replace(sentence)
}

func rowsOf(lang Lang) map[string]string {
	switch lang {
	case French:
		return frenchRows
	case German:
		return germanRows
	}
	return englishRows
}

var englishRows = map[string]string{
	"row-quotes":           "A quotation mark is in the wrong place: put the whole value in quotes, and double those in it.",
	"row-missing":          "This column is empty.",
	"row-text":             "This is longer than 256 bytes or has characters that are no text.",
	"row-ambiguous":        "Several users have this e-mail address: write the id of the one that is meant.",
	"row-twice":            "The same user and machine are in the file already.",
	"row-two-machines":     "This user is in the file already, with another machine: a license can be on one machine at a time.",
	"row-not-tried":        "Not tried, because the site could not decide on an earlier one. Send the same request again.",
	"unknown-user":         "The site's account has no user of this id or e-mail address.",
	"user-blocked":         "This user is blocked in the account.",
	"not-assigned":         "No license of {product} is assigned to this user.",
	"unknown-product":      "The site's account has no product of this id.",
	"license-ended":        "This user's license of {product} ended on {until}.",
	"license-not-started":  "This user's license of {product} begins on {until}.",
	"machine-active":       "This user's license of {product} is active or checked out on {machine}.",
	"reserved":             "This user's license of {product} is kept for {machine} at the moment.",
	"checkout-too-long":    "That is too long: the latest end for this user is {until}.",
	"checkout-in-past":     "The end is not in the future.",
	"checkout-off":         "The account allows no new checkouts in this user's country.",
	"checkout-written-off": "The checkout on this machine was written off. It ends on {until} at the latest.",
	"too-many-checkouts":   "This user has a hundred checkouts already.",
	"cloud-needed":         "The cloud must agree to a checkout, and does not answer.",
}

var germanRows = map[string]string{
	"row-quotes":           "Ein Anführungszeichen steht falsch: Setzen Sie den ganzen Wert in Anführungszeichen, und verdoppeln Sie die darin.",
	"row-missing":          "Diese Spalte ist leer.",
	"row-text":             "Das ist länger als 256 Byte oder enthält Zeichen, die kein Text sind.",
	"row-ambiguous":        "Mehrere Benutzer haben diese E-Mail-Adresse: Schreiben Sie die Kennung des gemeinten.",
	"row-twice":            "Derselbe Benutzer mit demselben Rechner steht schon in der Datei.",
	"row-two-machines":     "Dieser Benutzer steht schon mit einem anderen Rechner in der Datei: Eine Lizenz kann nur auf einem Rechner zugleich sein.",
	"row-not-tried":        "Nicht versucht, weil der Standort über eine frühere Zeile nicht entscheiden konnte. Senden Sie dieselbe Anfrage noch einmal.",
	"unknown-user":         "Das Konto des Standorts hat keinen Benutzer mit dieser Kennung oder E-Mail-Adresse.",
	"user-blocked":         "Dieser Benutzer ist im Konto gesperrt.",
	"not-assigned":         "Diesem Benutzer ist keine Lizenz von {product} zugewiesen.",
	"unknown-product":      "Das Konto des Standorts hat kein Produkt mit dieser Kennung.",
	"license-ended":        "Die Lizenz von {product} dieses Benutzers ist am {until} abgelaufen.",
	"license-not-started":  "Die Lizenz von {product} dieses Benutzers gilt ab {until}.",
	"machine-active":       "Die Lizenz von {product} dieses Benutzers ist auf {machine} aktiv oder ausgeliehen.",
	"reserved":             "Die Lizenz von {product} dieses Benutzers ist gerade für die Arbeit auf {machine} zurückgelegt.",
	"checkout-too-long":    "Das ist zu lang: Das späteste Ende für diesen Benutzer ist {until}.",
	"checkout-in-past":     "Das Ende liegt nicht in der Zukunft.",
	"checkout-off":         "Das Konto erlaubt im Land dieses Benutzers keine neuen Ausleihen.",
	"checkout-written-off": "Die Ausleihe auf diesem Rechner wurde abgeschrieben. Sie endet spätestens am {until}.",
	"too-many-checkouts":   "Dieser Benutzer hat schon hundert Ausleihen.",
	"cloud-needed":         "Die Cloud muss einer Ausleihe zustimmen, antwortet aber nicht.",
}

var frenchRows = map[string]string{
	"row-quotes":           "Un guillemet est mal placé : mettez toute la valeur entre guillemets et doublez ceux qu’elle contient.",
	"row-missing":          "Cette colonne est vide.",
	"row-text":             "C’est plus long que 256 octets ou contient des caractères qui ne sont pas du texte.",
	"row-ambiguous":        "Plusieurs utilisateurs ont cette adresse e-mail : indiquez l’identifiant de celui qui est visé.",
	"row-twice":            "Le même utilisateur avec le même poste figure déjà dans le fichier.",
	"row-two-machines":     "Cet utilisateur figure déjà dans le fichier avec un autre poste : une licence ne peut être que sur un poste à la fois.",
	"row-not-tried":        "Non tenté, car le site n’a pas pu décider d’une ligne précédente. Renvoyez la même requête.",
	"unknown-user":         "Le compte du site n’a pas d’utilisateur avec cet identifiant ou cette adresse e-mail.",
	"user-blocked":         "Cet utilisateur est bloqué dans le compte.",
	"not-assigned":         "Aucune licence de {product} n’est attribuée à cet utilisateur.",
	"unknown-product":      "Le compte du site n’a pas de produit avec cet identifiant.",
	"license-ended":        "La licence de {product} de cet utilisateur a pris fin le {until}.",
	"license-not-started":  "La licence de {product} de cet utilisateur commence le {until}.",
	"machine-active":       "La licence de {product} de cet utilisateur est active ou empruntée sur {machine}.",
	"reserved":             "La licence de {product} de cet utilisateur est réservée en ce moment à {machine}.",
	"checkout-too-long":    "C’est trop long : la fin la plus tardive pour cet utilisateur est {until}.",
	"checkout-in-past":     "La fin n’est pas dans l’avenir.",
	"checkout-off":         "Le compte n’autorise pas de nouveaux emprunts dans le pays de cet utilisateur.",
	"checkout-written-off": "L’emprunt sur ce poste a été déclaré perdu. Il prend fin au plus tard le {until}.",
	"too-many-checkouts":   "Cet utilisateur a déjà cent emprunts.",
	"cloud-needed":         "Le cloud doit accepter un emprunt et ne répond pas.",
}
