package report

import "sitegate/phrase"

// Title is what a report is called in a mail's subject.
func Title(p Period, name string, lang phrase.Lang) string {
	return wordsOf(lang)["title-"+string(p)] + " " + name
}

// wordsOf are the words of a report in a language.
func wordsOf(lang phrase.Lang) map[string]string {
	switch lang {
	case phrase.French:
		return map[string]string{
			"title-day": "Rapport du", "title-week": "Rapport de la semaine", "title-month": "Rapport du mois",
			"heading": "sitegate, du %s au %s (GMT)", "site": "Site %s, établi le %s", "none": "rien",
			"products":      "Produits",
			"columns":       "produit\tdétenues\tpointe\tle\tpool\trefus\tnon attribuées\tjamais utilisées\texpirent",
			"columns-note":  "  pointe : postes en dix minutes ; « ! » : autant que détenues, ou plus. jamais utilisées : depuis deux semaines. expirent : sous 60 jours.",
			"refusals":      "Refus",
			"observed":      "dont %d observés seulement",
			"licenses-end":  "Licences qui expirent (60 jours)",
			"checkouts-end": "Emprunts qui se terminent (14 jours)",
			"link-up":       "Le cloud de l’éditeur a toujours été joignable.",
			"link-down":     "Le cloud de l’éditeur n’a pas été joignable : %d fois, %s au total, %s au plus long.",
			"alerts":        "Alertes", "lasts": "dure encore",
			"people": "À qui parler", "why-never-used": "n’a jamais utilisé", "why-checkout-ends": "emprunt se termine",
		}
	case phrase.German:
		return map[string]string{
			"title-day": "Bericht vom", "title-week": "Wochenbericht", "title-month": "Monatsbericht",
			"heading": "sitegate, %s bis %s (GMT)", "site": "Standort %s, erstellt %s", "none": "nichts",
			"products":      "Produkte",
			"columns":       "Produkt\teigene\tSpitze\tam\tPool\tAblehnungen\tnicht zugewiesen\tnie benutzt\tlaufen ab",
			"columns-note":  "  Spitze: Rechner in zehn Minuten; „!“: so viele wie eigene, oder mehr. nie benutzt: seit zwei Wochen. laufen ab: in 60 Tagen.",
			"refusals":      "Ablehnungen",
			"observed":      "davon %d nur beobachtet",
			"licenses-end":  "Lizenzen, die ablaufen (60 Tage)",
			"checkouts-end": "Ausleihen, die enden (14 Tage)",
			"link-up":       "Die Cloud des Herstellers war immer erreichbar.",
			"link-down":     "Die Cloud des Herstellers war nicht erreichbar: %d-mal, zusammen %s, am längsten %s.",
			"alerts":        "Alarme", "lasts": "dauert an",
			"people": "Wen man ansprechen kann", "why-never-used": "hat nie benutzt", "why-checkout-ends": "Ausleihe endet",
		}
	}
	return map[string]string{
		"title-day": "Report of", "title-week": "Weekly report", "title-month": "Monthly report",
		"heading": "sitegate, %s to %s (GMT)", "site": "Site %s, made %s", "none": "nothing",
		"products":      "Products",
		"columns":       "product\towned\tpeak\tat\tpooled\trefused\tunassigned\tnever used\tend",
		"columns-note":  "  peak: machines in ten minutes; \"!\": as many as are owned, or more. never used: for two weeks. end: within 60 days.",
		"refusals":      "Refusals",
		"observed":      "%d of them observed only",
		"licenses-end":  "Licenses that end (60 days)",
		"checkouts-end": "Checkouts that end (14 days)",
		"link-up":       "The vendor's cloud could be reached all the time.",
		"link-down":     "The vendor's cloud could not be reached: %d times, %s in all, %s at the longest.",
		"alerts":        "Alerts", "lasts": "lasts",
		"people": "Whom to speak to", "why-never-used": "has never used", "why-checkout-ends": "checkout ends",
	}
}
