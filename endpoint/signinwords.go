package endpoint

import "sitegate/phrase"

// signInWords are the texts of the page where administrators sign in.
type signInWords struct {
	Title, Lead, Token, Name, Password, Again, Do string
	New                                           string // password, to change to
	Other                                         string // of the link to the page beside this one
}

// The reasons for which somebody stays on the page.
const (
	alertWrong   = "wrong"
	alertWait    = "wait"
	alertFirst   = "first"
	alertDiffer  = "differ"
	alertWeak    = "weak"
	alertNoWrite = "no-quorum"
	alertNew     = "new"
)

func wordsOfSignIn(lang phrase.Lang, f signInForm) signInWords {
	w := wordsOfPage(lang, f)
	w.Other = map[phrase.Lang]string{phrase.French: "Changer de mot de passe", phrase.German: "Passwort ändern"}[lang]
	if f.Change {
		w.Other = map[phrase.Lang]string{phrase.French: "Se connecter", phrase.German: "Anmelden"}[lang]
	}
	switch {
	case w.Other != "":
	case f.Change:
		w.Other = "Sign in"
	default:
		w.Other = "Change the password"
	}
	return w
}

func wordsOfPage(lang phrase.Lang, f signInForm) signInWords {
	first := f.First
	switch lang {
	case phrase.German:
		if f.Change {
			return signInWords{"Passwort ändern", "Das eines lokalen Kontos. Wer mit ihm angemeldet ist, wird überall abgemeldet.", "", "Konto", "Bisheriges Passwort", "Neues Passwort noch einmal", "Ändern", "Neues Passwort (mindestens 12 Zeichen)", ""}
		}
		if first {
			return signInWords{"Erstes Konto", "Mit dem Einmal-Token, das der Knoten beim ersten Start ausgegeben hat.", "Einmal-Token", "Name des Kontos", "Passwort (mindestens 12 Zeichen)", "Passwort noch einmal", "Konto anlegen", "", ""}
		}
		return signInWords{"Anmelden", "Mit einem lokalen Konto dieses Gateways.", "", "Konto", "Passwort", "", "Anmelden", "", ""}
	case phrase.French:
		if f.Change {
			return signInWords{"Changer de mot de passe", "Celui d’un compte local. Toutes les sessions de ce compte prennent fin.", "", "Compte", "Mot de passe actuel", "Le même nouveau mot de passe", "Changer", "Nouveau mot de passe (12 caractères au moins)", ""}
		}
		if first {
			return signInWords{"Premier compte", "Avec le jeton à usage unique que le nœud a affiché à son premier démarrage.", "Jeton à usage unique", "Nom du compte", "Mot de passe (12 caractères au moins)", "Le même mot de passe", "Créer le compte", "", ""}
		}
		return signInWords{"Se connecter", "Avec un compte local de cette passerelle.", "", "Compte", "Mot de passe", "", "Se connecter", "", ""}
	}
	if f.Change {
		return signInWords{"Change the password", "Of a local account. Whoever is signed in by it is signed out everywhere.", "", "Account", "Password of now", "The same new password again", "Change it", "New password (12 characters at least)", ""}
	}
	if first {
		return signInWords{"First account", "With the one-time token that the node printed when it first started.", "One-time token", "Name of the account", "Password (12 characters at least)", "The same password again", "Make the account", "", ""}
	}
	return signInWords{"Sign in", "With a local account of this gateway.", "", "Account", "Password", "", "Sign in", "", ""}
}

// alertOf is why somebody stays on the page.
func alertOf(lang phrase.Lang, why string) string {
	texts := map[string][3]string{ // English, French, German
		alertWrong:   {"The account or the password is not right.", "Le compte ou le mot de passe n’est pas le bon.", "Das Konto oder das Passwort stimmt nicht."},
		alertWait:    {"There were too many attempts. Wait a moment, then try again.", "Trop d’essais. Attendez un moment, puis réessayez.", "Es waren zu viele Versuche. Warten Sie einen Moment und versuchen Sie es noch einmal."},
		alertFirst:   {"This token is not good (any more). On a node’s machine, sitegate account create makes an account.", "Ce jeton n’est pas (ou plus) valable. Sur la machine d’un nœud, sitegate account create crée un compte.", "Dieses Token gilt nicht (mehr). Auf der Maschine eines Knotens legt sitegate account create ein Konto an."},
		alertDiffer:  {"The two passwords differ.", "Les deux mots de passe diffèrent.", "Die beiden Passwörter sind verschieden."},
		alertWeak:    {"The name is small letters, digits, and . _ - between them; the password has 12 characters at least, and not the name in it.", "Le nom se compose de minuscules, de chiffres et de . _ - entre eux ; le mot de passe a 12 caractères au moins et ne contient pas le nom.", "Der Name besteht aus Kleinbuchstaben, Ziffern und . _ - dazwischen; das Passwort hat mindestens 12 Zeichen und enthält den Namen nicht."},
		alertNew:     {"The new password has 12 characters at least, has not the account’s name in it, and is another one than that of now.", "Le nouveau mot de passe a 12 caractères au moins, ne contient pas le nom du compte et diffère de l’actuel.", "Das neue Passwort hat mindestens 12 Zeichen, enthält den Namen des Kontos nicht und ist ein anderes als das bisherige."},
		alertNoWrite: {"This cannot be done now: most nodes cannot be reached. On a node’s machine, sitegate status works.", "C’est impossible pour le moment : la plupart des nœuds sont injoignables. Sur la machine d’un nœud, sitegate status fonctionne.", "Das geht gerade nicht: Die meisten Knoten sind nicht erreichbar. Auf der Maschine eines Knotens geht sitegate status."},
	}
	t := texts[why]
	switch lang {
	case phrase.French:
		return t[1]
	case phrase.German:
		return t[2]
	}
	return t[0]
}
