package main

import "fmt"

// words are what seat itself says while people work, by language and by what it is in
// English. What the gateway says comes in their language already; what is wrong with a
// command line, or a network, is said in English.
var words = map[string]map[string]string{
	"fr": {
		"%s is asked to end in %s: save your work. %s":                                  "la fermeture de %s sera demandée dans %s : enregistrez votre travail. %s",
		"the license gateway does not answer; %s is asked to end in %s: save your work": "la passerelle de licences ne répond pas ; la fermeture de %s sera demandée dans %s : enregistrez votre travail",
		"the license gateway answers again":                                             "la passerelle de licences répond de nouveau",
		"the license is lost: %v":                                                       "la licence est perdue : %v",
		"ending %s":                                                                     "fermeture de %s",
		"%s still runs, and has no license any more: save your work and close it":       "%s est encore ouvert et n’a plus de licence : enregistrez votre travail et fermez-le",
		"%s could not be asked to end (%v): save your work and close it":                "la fermeture de %s n’a pas pu être demandée (%v) : enregistrez votre travail et fermez-le",
		"waiting until it is free":                                                      "attente jusqu’à ce qu’elle soit libre",
		"the other machine is asked to let go":                                          "l’autre poste est prié de céder la licence",
		"the other machine has until %s":                                                "l’autre poste a jusqu’à %s",
		"the other machine does not let go; waiting until it is free":                   "l’autre poste ne cède pas la licence ; attente jusqu’à ce qu’elle soit libre",
		"Free: start now.":                                                              "Libre : démarrez maintenant.",
		"Free, and kept for this machine for %s: start now.":                            "Libre, et réservée à ce poste pendant %s : démarrez maintenant.",
		"listening for %s":                                                              "à l’écoute pour %s",
		"the sign-in has expired, and nothing more is told here: seat login":            "la connexion a expiré, et plus rien n’est signalé ici : seat login",
		"your sign-in cannot be renewed: what runs goes on, and something new can be started until %s; sign in again when you can: seat login": "votre connexion ne peut pas être renouvelée : ce qui est ouvert continue, et du nouveau peut être démarré jusqu’à %s ; reconnectez-vous dès que possible : seat login",
		"going without a key of this computer: %v": "sans clé de ce poste : %v",
		"the TPM of this computer is not used (%v): a file keeps this computer's key, and is of use to whoever has a copy": "le TPM de ce poste n’est pas utilisé (%v) : un fichier garde la clé de ce poste, et sert à quiconque en a une copie",
		"the license could not be given back; it will be free within %s (%v)":                                              "la licence n’a pas pu être rendue ; elle sera libre d’ici %s (%v)",
		"the sign-in could not be taken back at %s and ends there by itself: %v":                                           "la connexion n’a pas pu être retirée auprès de %s et y prendra fin d’elle-même : %v",
		"the key could not be taken out of the keyring: %v":                                                                "la clé n’a pas pu être retirée du trousseau : %v",
		"signed out": "déconnecté",
	},
	"de": {
		"%s is asked to end in %s: save your work. %s":                                  "%s wird in %s zum Beenden aufgefordert: speichern Sie Ihre Arbeit. %s",
		"the license gateway does not answer; %s is asked to end in %s: save your work": "das Lizenz-Gateway antwortet nicht; %s wird in %s zum Beenden aufgefordert: speichern Sie Ihre Arbeit",
		"the license gateway answers again":                                             "das Lizenz-Gateway antwortet wieder",
		"the license is lost: %v":                                                       "die Lizenz ist verloren: %v",
		"ending %s":                                                                     "%s wird beendet",
		"%s still runs, and has no license any more: save your work and close it":       "%s läuft noch und hat keine Lizenz mehr: speichern Sie Ihre Arbeit und schließen Sie es",
		"%s could not be asked to end (%v): save your work and close it":                "%s konnte nicht zum Beenden aufgefordert werden (%v): speichern Sie Ihre Arbeit und schließen Sie es",
		"waiting until it is free":                                                      "es wird gewartet, bis sie frei ist",
		"the other machine is asked to let go":                                          "der andere Rechner wird gebeten, sie freizugeben",
		"the other machine has until %s":                                                "der andere Rechner hat bis %s Zeit",
		"the other machine does not let go; waiting until it is free":                   "der andere Rechner gibt sie nicht frei; es wird gewartet, bis sie frei ist",
		"Free: start now.":                                                              "Frei: starten Sie jetzt.",
		"Free, and kept for this machine for %s: start now.":                            "Frei und für diesen Rechner noch %s reserviert: starten Sie jetzt.",
		"listening for %s":                                                              "Meldungen für %s",
		"the sign-in has expired, and nothing more is told here: seat login":            "die Anmeldung ist abgelaufen, und hier wird nichts mehr gemeldet: seat login",
		"your sign-in cannot be renewed: what runs goes on, and something new can be started until %s; sign in again when you can: seat login": "Ihre Anmeldung kann nicht erneuert werden: was läuft, läuft weiter, und Neues kann bis %s gestartet werden; melden Sie sich neu an, sobald Sie können: seat login",
		"going without a key of this computer: %v": "ohne Schlüssel dieses Rechners: %v",
		"the TPM of this computer is not used (%v): a file keeps this computer's key, and is of use to whoever has a copy": "das TPM dieses Rechners wird nicht benutzt (%v): eine Datei hält den Schlüssel dieses Rechners und nützt jedem, der eine Kopie hat",
		"the license could not be given back; it will be free within %s (%v)":                                              "die Lizenz konnte nicht zurückgegeben werden; sie ist in spätestens %s frei (%v)",
		"the sign-in could not be taken back at %s and ends there by itself: %v":                                           "die Anmeldung konnte bei %s nicht zurückgezogen werden und endet dort von selbst: %v",
		"the key could not be taken out of the keyring: %v":                                                                "der Schlüssel konnte nicht aus dem Schlüsselbund genommen werden: %v",
		"signed out": "abgemeldet",
	},
}

// textf is a sentence in the user's language.
func (s *seat) textf(english string, args ...any) string {
	if there, ok := words[s.lang][english]; ok {
		english = there
	}
	return fmt.Sprintf(english, args...)
}
