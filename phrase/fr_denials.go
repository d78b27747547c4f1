package phrase

// frenchDenials are what refused users read, and what they can do.
var frenchDenials = map[string]text{
	"machine-active": {
		title:  "Active sur un autre poste",
		detail: "Votre licence Virtuoso semble être active sur un autre poste. Veuillez fermer l’application sur {machine} et réessayer.",
		until:  "Elle sera libre au plus tard le {until}.",
	},
	"machine-active/other": {
		title:  "Actif sur un autre poste",
		detail: "Vous êtes actif sur {machine} avec {holding}. Vos licences ne peuvent être actives que sur un poste à la fois. Veuillez fermer l’application sur {machine} et réessayer.",
		until:  "Elle sera libre au plus tard le {until}.",
	},
	"machine-active/session": {next: []string{
		"Enregistrez votre travail et fermez l’application sur {machine}.",
		"Ou attendez ici : vous serez averti dès que la licence sera libre.",
		"Si {machine} vous est inaccessible, demandez à mettre fin à sa session : {admins}."}},
	"machine-active/checkout": {next: []string{
		"Restituez la licence sur {machine}, où elle est empruntée.",
		"Si {machine} est perdu ou en panne, adressez-vous ici : {admins}."}},
	"reserved": {
		title:  "Réservée à un autre de vos postes",
		detail: "Votre licence vient de se libérer ; elle a d’abord été demandée sur {machine} et y est réservée.",
		next:   []string{"Démarrez {product} sur {machine}, ou réessayez ici dans une demi-minute."},
		until:  "Elle sera libre pour tous vos postes à partir du {until}.",
	},
	"not-assigned": {
		title:  "Aucune licence attribuée",
		detail: "Aucune licence ne vous est attribuée pour {product}.",
		next: []string{"Vérifiez que vous êtes connecté avec l’adresse e-mail à laquelle la licence est attribuée.",
			"Demandez une licence pour {product} : {admins}."},
	},
	"not-assigned/email": {
		title:  "Attribuée à une autre adresse e-mail",
		detail: "Votre licence pour {product} est attribuée à {email}, et vous êtes connecté avec une autre adresse e-mail.",
		next: []string{"Déconnectez-vous, connectez-vous avec {email} et redémarrez.",
			"Si cette adresse n’est plus la vôtre, demandez qu’elle soit changée, sans que vous soyez supprimé : {admins}."},
	},
	"no-country": {
		title:  "Aucun pays",
		detail: "Le compte de ce site n’indique pas votre pays d’autorisation ; sans lui, aucune licence ne peut être utilisée.",
		next:   []string{"Demandez que votre pays soit saisi, puis choisissez « Actualiser » et redémarrez : {admins}."},
	},
	"country": {
		title:  "Pas pour votre pays",
		detail: "La licence pour {product} ne couvre pas votre pays d’autorisation.",
		next: []string{"Faites vérifier que votre pays est bien saisi : {admins}.",
			"Demandez une licence qui couvre votre pays : {admins}."},
	},
	"feature-level": {
		title:  "Aucun niveau de fonctions",
		detail: "{product} existe en plusieurs niveaux de fonctions, et la demande n’en nomme aucun.",
		next:   []string{"Choisissez un niveau de fonctions dans les réglages de {product} et redémarrez."},
	},
	"license-ended": {
		title:  "La licence a pris fin",
		detail: "Votre licence pour {product} a pris fin le {until}.",
		next:   []string{"Demandez son renouvellement ou une autre licence : {admins}."},
	},
	"license-not-started": {
		title:  "La licence n’a pas commencé",
		detail: "Votre licence pour {product} commence le {until}.",
		next:   []string{"Réessayez à partir de cette date, ou demandez une licence déjà valable : {admins}."},
	},
	"cloud-needed": {
		title:  "Le cloud des licences doit donner son accord et ne répond pas",
		detail: "La liaison avec le cloud de l’éditeur est coupée, et ce site ne peut pas décider seul pour {product} en ce moment.",
		next: []string{"Ce qui est déjà ouvert continue.",
			"Réessayez dans quelques minutes, ou signalez la coupure : {admins}.",
			"Empruntez {product} à l’avance si vous devez travailler sans liaison."},
	},
	"restored": {
		title:  "La passerelle de licences a été restaurée",
		detail: "La passerelle de licences de ce site a été restaurée et ne peut pas encore savoir sur lequel de vos postes {product} était utilisé juste avant. Tant que ce n’est pas certain, rien n’est démarré à nouveau.",
		next: []string{"Ce qui est en cours continue.",
			"Réessayez plus tard ou prévenez l’administration : {admins}."},
		until: "Le démarrage sera possible à partir du {until}.",
	},
	"usage-full": {
		title:  "L’utilisation ne peut plus être relevée",
		detail: "Tant de relevés d’utilisation de ce site attendent d’être transmis à l’éditeur qu’une nouvelle utilisation de {product} ne pourrait plus être relevée.",
		next: []string{"Ce qui est déjà ouvert continue.",
			"Signalez que la place pour les relevés d’utilisation est pleine : {admins}."},
	},
	"checkout-too-long": {
		title:  "Trop long",
		detail: "L’emprunt ne peut pas durer aussi longtemps pour {product}.",
		next:   []string{"Choisissez une fin plus proche."},
		until:  "La fin la plus tardive est le {until}.",
	},
	"checkout-in-past": {
		title:  "La fin est déjà passée",
		detail: "La fin de l’emprunt n’est pas dans l’avenir.",
		next:   []string{"Choisissez une fin plus tardive.", "Vérifiez l’heure et le fuseau horaire de ce poste."},
	},
	"checkout-off": {
		title:  "Pas dans votre pays",
		detail: "Ce compte n’autorise pas de nouveaux emprunts dans votre pays. Ce qui est emprunté le reste.",
		next:   []string{"Travaillez avec une connexion au réseau.", "Demandez si un emprunt peut être autorisé : {admins}."},
	},
	"checkout-off/here": {
		title:  "Pas sur ce site",
		detail: "Ce site n’autorise pas de nouveaux emprunts. Ce qui est emprunté le reste.",
		next:   []string{"Travaillez avec une connexion au réseau.", "Demandez si un emprunt peut être autorisé : {admins}."},
	},
	"checkout-written-off": {
		title:  "Emprunt abandonné",
		detail: "L’administration a déclaré perdu l’emprunt de {product} sur ce poste. Il ne peut pas être prolongé.",
		next:   []string{"Restituez-le : {product} pourra alors être démarré ou emprunté à nouveau."},
		until:  "Il prend fin au plus tard le {until}.",
	},
	"too-many-checkouts": {
		title:  "Trop d’emprunts",
		detail: "Vous avez déjà {checkouts}.",
		next:   []string{"Restituez ceux dont vous n’avez pas besoin."},
	},
	"unknown-user": {
		title:  "Inconnu ici",
		detail: "Vous êtes connecté, mais le compte de ce site ne vous connaît pas.",
		next: []string{"Vérifiez que vous êtes connecté avec l’adresse que votre entreprise utilise.",
			"Demandez si vous avez été créé dans le compte, avec un pays : {admins}.",
			"Une fois que c’est fait, choisissez « Actualiser », ou déconnectez-vous et reconnectez-vous."},
	},
	"user-blocked": {
		title:  "Bloqué",
		detail: "Vous êtes bloqué dans le compte de ce site.",
		next:   []string{"Demandez pourquoi : {admins}."},
	},
	"unknown-product": {
		title:  "Produit inconnu",
		detail: "Le compte de ce site n’a pas de produit portant cet identifiant.",
		next:   []string{"Vérifiez l’identifiant du produit.", "S’il vient d’être acheté, réessayez dans quelques minutes."},
	},
	"unknown-session": {
		title:  "Pas en cours",
		detail: "Cette session n’est pas, ou plus, en cours.",
		next:   []string{"Redémarrez {product}."},
	},
	"unknown-checkout": {
		title:  "Pas emprunté",
		detail: "Cet emprunt n’existe pas, ou plus.",
		next:   []string{"Consultez la liste de vos emprunts."},
	},
	"too-many-sessions": {
		title:  "Trop de sessions",
		detail: "Vous avez déjà {sessions}.",
		next:   []string{"Fermez-en quelques-unes, ou attendez quelques minutes que celles d’un programme arrêté brutalement prennent fin."},
	},
	"not-yours": {
		title:  "Pas à vous",
		detail: "Ceci appartient à un autre utilisateur ou à un autre poste.",
		next:   []string{"Faites-le sur le poste où cela a commencé, connecté comme le même utilisateur."},
	},
	"already-ended": {
		title:  "Déjà terminé",
		detail: "Ceci a déjà pris fin et ne peut pas continuer.",
		next:   []string{"Redémarrez {product}."},
	},
	"id-in-use": {
		title:  "Identifiant déjà utilisé",
		detail: "L’identifiant de cette demande a déjà servi à autre chose.",
		next:   []string{"Redémarrez {product} ; chaque démarrage demande son propre identifiant."},
	},
	"takeover-refused": {
		title:  "Active sur une autre machine",
		detail: "Vous êtes actif sur {machine} avec {holding}, et sur ce site une autre machine ne peut pas demander qu’elle la libère.",
		next: []string{"Fermez {holding} sur {machine}, ou attendez ici : vous serez averti dès que la licence sera libre.",
			"Si vous ne pouvez pas accéder à {machine}, demandez à {admins} de terminer sa session."},
	},
	"takeover-not-possible": {
		title:  "Reprise impossible",
		detail: "Vous êtes actif sur {machine} avec {holding}, et le programme ne s’y fermerait pas de lui-même à temps.",
		next: []string{"Fermez {holding} sur {machine}, ou attendez ici : vous serez averti dès que la licence sera libre.",
			"Si vous ne pouvez pas accéder à {machine}, demandez à {admins} de terminer sa session."},
	},
	"takeover-checkout": {
		title:  "Un emprunt ne peut pas être repris",
		detail: "Votre licence est empruntée sur {machine}. Un emprunt ne peut pas être repris.",
		next: []string{"Restituez la licence sur {machine}.",
			"Si {machine} est perdue ou en panne, adressez-vous à {admins}."},
		until: "Elle sera libre le {until} au plus tard.",
	},
	"takeover-under-way": {
		title:  "Une autre de vos machines prend le relais",
		detail: "Vous avez demandé votre licence sur {machine} ; elle est en train d’être libérée pour cette machine.",
		next:   []string{"Enregistrez votre travail et fermez l’application ici ; ou retirez la demande sur {machine} et continuez."},
		until:  "Les sessions sur vos autres machines se terminent le {until}.",
	},
	"unknown-request": {
		title:  "Plus aucune demande",
		detail: "Cette demande n’existe pas, ou plus.",
		next:   []string{"Continuez votre travail : il n’y a plus rien à faire."},
	},
	"too-late": {
		title:  "Trop tard",
		detail: "La demande est restée trop longtemps en chemin ; rien n’a été fait.",
		next:   []string{"Réessayez."},
	},
	"bad-command": {
		title:  "Pas compris",
		detail: "La demande ne nomme aucun poste, ou un élément est vide, trop long ou hors limites.",
		next:   []string{"Mettez le client à jour ; si cela persiste, communiquez le numéro de cette réponse : {admins}."},
	},
	"unknown-user/person": {
		title:  "Pas dans le compte",
		detail: "Le compte de ce site ne connaît pas cet utilisateur : {person}.",
		next:   []string{"Vérifiez l’identifiant, ou ajoutez d’abord l’utilisateur au compte, avec son pays."},
	},
	"no-country/person": {
		title:  "Aucun pays",
		detail: "Cet utilisateur n’a pas de pays d’autorisation dans le compte de ce site et ne peut pas recevoir de licence : {person}.",
		next:   []string{"Saisissez d’abord son pays dans le compte, ou choisissez quelqu’un d’autre."},
	},
	"user-blocked/person": {
		title:  "Bloqué dans le compte",
		detail: "Cet utilisateur est bloqué dans le compte de ce site et ne peut pas recevoir de licence : {person}.",
		next:   []string{"Débloquez d’abord l’utilisateur dans le compte, ou choisissez-en un autre."},
	},
	"move-locked": {
		title:  "La licence ne peut pas encore être réattribuée",
		detail: "La licence pour {product} est attribuée à {person}. Elle pouvait être réattribuée pendant les premières 24 heures ; elle est maintenant verrouillée pour 30 jours.",
		next:   []string{"Attendez la fin du verrouillage, ou attribuez une autre licence pour {product}."},
		until:  "Elle pourra être réattribuée à partir du {until}.",
	},
	"user-not-found": {
		title:  "Attribuée à un utilisateur supprimé",
		detail: "La licence pour {product} est attribuée à {person}, qui a été retiré du compte. Les administrateurs du compte ne peuvent plus la réattribuer.",
		next:   []string{"Ouvrez une demande de service chez l’éditeur, catégorie Licensing assistance, avec les coordonnées de l’utilisateur retiré."},
	},
	"other-account": {
		title:  "L’utilisateur appartient à un autre compte",
		detail: "Cet utilisateur fait partie d’un autre compte et ne peut pas recevoir de licence ici : {person}.",
		next:   []string{"Faites-le d’abord retirer de l’autre compte, puis réessayez."},
	},
	"cloud-cannot": {
		title:  "Pas d’ici",
		detail: "Le cloud de l’éditeur n’accepte pas cela d’un site. Rien n’a été fait.",
		next:   []string{"Faites-le sur la page de l’éditeur pour les licences Virtuoso, dans Entitlement Management. Ce site le voit un instant plus tard."},
	},
	"machine-blocked": {
		title:  "Ce poste est bloqué",
		detail: "Ce poste a été bloqué sur ce site par {by}.",
		next:   []string{"Travaillez sur un autre poste, ou adressez-vous ici : {admins}."},
	},
	"user-blocked-here": {
		title:  "Bloqué sur ce site",
		detail: "Vous avez été bloqué sur ce site par {by}.",
		next:   []string{"Demandez pourquoi : {admins}."},
	},
	"machine-clone": {
		title:  "Un autre poste porte le même identifiant",
		detail: "Quelque chose est ouvert sur {machine}, et ce poste se présente sous le même identifiant avec une autre clé : ce n’est pas le même poste. L’informatique est prévenue.",
		next:   []string{"Si vous travaillez sur ce poste, fermez le produit partout ailleurs, attendez trois minutes, puis réessayez.", "S’il a été réinstallé alors qu’une licence y était empruntée, faites retirer son ancienne clé : {admins}."},
	},
	"too-many-keys": {
		title:  "Trop de postes",
		detail: "Vous avez récemment montré ici les clés d’autant de postes que l’on en garde par personne ; celle de {machine} est de trop.",
		next:   []string{"Travaillez sur l’un d’eux.", "Si vous travaillez sur autant de postes, ou sur moins, dites-le ici : {admins}. Les clés de postes disparus peuvent être retirées."},
	},
	"machine-key-needed": {
		title:  "Ce poste doit montrer sa clé",
		detail: "{machine} se présente avec une clé sur ce site, ou le site en demande une à chaque poste, et la demande n’en a montré aucune.",
		next:   []string{"Démarrez le produit comme vous le faites d’habitude sur ce poste.", "Si ce n’est pas possible, adressez-vous ici : {admins}."},
	},
	"sign-in-needed": {
		title:  "Reconnectez-vous",
		detail: "Vous avez travaillé sans votre connexion aussi longtemps que cela est possible. Ce qui est ouvert continue ; rien de nouveau ne peut être démarré.",
		next:   []string{"Reconnectez-vous, puis réessayez.", "Si la connexion est impossible, prévenez l’informatique."},
		until:  "C’était possible jusqu’au {until}.",
	},
	"too-many-blocks": {
		title:  "Trop de blocages",
		detail: "Ce site a déjà {blocks}.",
		next:   []string{"Levez ceux qui ne servent plus."},
	},
	"unknown-token": {
		title:  "Jeton d'adhésion inconnu",
		detail: "Cette grappe n'a pas émis ce jeton d'adhésion, ou il est périmé depuis longtemps.",
		next:   []string{"Recopiez le jeton en entier, ou émettez-en un autre : sitegate cluster token."},
	},
	"token-used": {
		title:  "Jeton d'adhésion déjà utilisé",
		detail: "Ce jeton d'adhésion a déjà admis le nœud {node} ; chacun n'admet qu'une machine.",
		next:   []string{"Émettez-en un autre : sitegate cluster token.", "Si ce n'est pas vous qui l'avez utilisé, retirez ce nœud : sitegate cluster remove {node}."},
	},
	"token-expired": {
		title:  "Jeton d'adhésion périmé",
		detail: "Ce jeton d'adhésion était valable jusqu'au {until}.",
		next:   []string{"Émettez-en un autre : sitegate cluster token."},
	},
	"name-in-use": {
		title:  "Le nom est pris",
		detail: "Ce nom est déjà utilisé.",
		next:   []string{"Choisissez un autre nom, ou supprimez d'abord ce qui le porte."},
	},
	"unknown-credential": {
		title:  "Il n’y en a pas",
		detail: "Aucun jeton ni compte de ce genre n’est valable sur ce site.",
		next:   []string{"Affichez ce qu’il y a ; il peut être périmé ou retiré."},
	},
	"too-many-credentials": {
		title:  "Trop de jetons d’API",
		detail: "{limit} jetons d’API sont déjà valables.",
		next:   []string{"Retirez ceux que personne n’utilise."},
	},
	"too-many-accounts": {
		title:  "Trop de comptes locaux",
		detail: "Il y a déjà {limit} comptes locaux : ils servent quand rien d’autre ne marche.",
		next:   []string{"Supprimez-en un d’abord, ou connectez-vous chez l’émetteur de l’entreprise."},
	},
	"too-many-tokens": {
		title:  "Trop de jetons d'adhésion",
		detail: "{limit} jetons d'adhésion sont déjà ouverts.",
		next:   []string{"Utilisez ceux-là, ou attendez qu'ils soient périmés."},
	},
	"node-known": {
		title:  "Ce nom est pris",
		detail: "Le nœud {node} est membre de cette grappe, avec un autre dossier de données.",
		next:   []string{"Donnez à la nouvelle machine un nom à elle.", "Si le disque de ce nœud est perdu ou a été vidé, retirez-le d'abord sur un autre nœud, sitegate cluster remove {node}, puis adhérez avec un jeton."},
	},
	"node-removed": {
		title:  "Retiré de la grappe",
		detail: "Le nœud {node} a été retiré de cette grappe par {by}, avec son dossier de données et son certificat.",
		next:   []string{"Pour réutiliser la machine, mettez son dossier de données de côté et adhérez avec un nouveau jeton : sitegate cluster join."},
	},
	"too-many-nodes": {
		title:  "Trop de noms",
		detail: "Cette grappe se souvient de {limit} noms de nœuds, y compris ceux qui ont été retirés.",
		next:   []string{"Reprenez le nom d'un nœud retiré."},
	},
	"unknown-license": {
		title:  "Licence inconnue",
		detail: "Le compte de ce site n’a pas de licence portant cet identifiant.",
		next:   []string{"Vérifiez l’identifiant de la licence.", "Si elle vient d’être achetée, réessayez dans quelques minutes."},
	},
	"mirror-shrunk": {
		title:  "Plus de la moitié disparaîtrait",
		detail: "Il manque dans la liste du cloud plus de la moitié des utilisateurs, licences ou attributions que ce site connaît. Rien de cela n’est retiré.",
		next: []string{"Voyez avec sitegate status combien il en manque, et demandez-en la raison à l’éditeur.",
			"Si c’est voulu, acceptez-le avec sitegate mirror accept."},
	},
	"mirror-follows-feed": {
		title:  "La liste du cloud prime",
		detail: "Ce site suit la liste que son cloud tient à jour, plus récente et plus sûre que tout fichier. Rien n’a été importé.",
		next:   []string{"Faites le changement dans le portail de l’éditeur ; il est ici en quelques secondes."},
	},
	"keys-not-held": {
		title:  "Rien à accepter",
		detail: "Aucun nœud ne retient ce jeu de clés de l’émetteur, ou plus maintenant.",
		next:   []string{"Voyez de nouveau sitegate trust show, et acceptez ce qui y figure maintenant."},
	},
	"mirror-not-held": {
		title:  "Rien à accepter",
		detail: "Le site suit la liste du cloud ; rien n’en est retenu.",
		next:   []string{"Voyez sitegate status."},
	},
}
