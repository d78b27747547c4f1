package phrase

// englishDenials are what refused users read, and what they can do.
var englishDenials = map[string]text{
	// The vendor's sentence, to the letter (R7).
	"machine-active": {
		title:  "Active on another machine",
		detail: `It seems your Virtuoso license is active on another machine. Please close the application on {machine} and try again.`,
		until:  "It is free on {until} at the latest.",
	},
	"machine-active/other": {
		title:  "Active on another machine",
		detail: "You are active on {machine} with {holding}. Your licenses can be active on one machine at a time. Please close {holding} on {machine} and try again.",
		until:  "It is free on {until} at the latest.",
	},
	"machine-active/session": {next: []string{
		"Save your work and close the application on {machine}.",
		"Or wait here: you are told as soon as the license is free.",
		"If you cannot get to {machine}, ask {admins} to end its session."}},
	"machine-active/checkout": {next: []string{
		"Return the license on {machine}, where it is checked out.",
		"If {machine} is lost or broken, ask {admins}."}},
	"reserved": {
		title:  "Kept for another of your machines",
		detail: "Your license has just become free and is kept for {machine}, which had asked for it first.",
		next:   []string{"Start {product} on {machine}, or try again here in half a minute."},
		until:  "It is free for all your machines from {until}.",
	},
	"not-assigned": {
		title:  "No license assigned",
		detail: "No license of {product} is assigned to you.",
		next: []string{"Check that you are signed in with the e-mail address the license is assigned to.",
			"Ask {admins} to assign you a license of {product}."},
	},
	"not-assigned/email": {
		title:  "Assigned to another e-mail",
		detail: "Your license of {product} is assigned to {email}, and you are signed in with another e-mail address.",
		next: []string{"Sign out, sign in with {email}, and start again.",
			"If that is no longer your address, ask {admins} to change your e-mail; you must not be deleted for it."},
	},
	"no-country": {
		title:  "No country",
		detail: "You have no entitlement country in this site's account, and without one no license can be used.",
		next:   []string{"Ask {admins} to enter your country, then choose Refresh and start again."},
	},
	"country": {
		title:  "Not for your country",
		detail: "The license of {product} is not for your entitlement country.",
		next: []string{"Check with {admins} that your country is entered correctly.",
			"Ask {admins} for a license that is for your country."},
	},
	"feature-level": {
		title:  "No feature level",
		detail: "{product} comes in feature levels, and the start names none.",
		next:   []string{"Choose a feature level in the settings of {product} and start again."},
	},
	"license-ended": {
		title:  "The license has ended",
		detail: "Your license of {product} ended on {until}.",
		next:   []string{"Ask {admins} to renew it or to assign you another one."},
	},
	"license-not-started": {
		title:  "The license has not begun",
		detail: "Your license of {product} begins on {until}.",
		next:   []string{"Try again from then on, or ask {admins} for a license that is valid now."},
	},
	"cloud-needed": {
		title:  "The licensing cloud must agree, and does not answer",
		detail: "The link to the vendor's cloud is down, and this site may not decide on {product} by itself now.",
		next: []string{"Go on with what runs already: it is not affected.",
			"Try again in a few minutes, or tell {admins} that the link to the cloud is down.",
			"Check {product} out beforehand, when you will work without a link."},
	},
	"restored": {
		title:  "The license gateway was restored",
		detail: "This site's license gateway was restored, and cannot know yet on which of your machines {product} was in use just before. Until that is certain it is not started anew.",
		next: []string{"Go on with what runs: it is not affected.",
			"Try again later, or tell {admins}."},
		until: "It can be started from {until} on.",
	},
	"usage-full": {
		title:  "Use cannot be recorded any more",
		detail: "So much usage of this site waits to be delivered to the vendor that a new use of {product} could not be recorded any more.",
		next: []string{"Go on with what runs: it is not affected.",
			"Tell {admins} that the room for usage is full."},
	},
	"checkout-too-long": {
		title:  "Too long",
		detail: "{product} cannot be checked out for that long.",
		next:   []string{"Choose an earlier end."},
		until:  "The latest end is {until}.",
	},
	"checkout-in-past": {
		title:  "The end has passed already",
		detail: "The end of the checkout is not in the future.",
		next:   []string{"Choose a later end.", "Check the clock and time zone of this machine."},
	},
	"checkout-off": {
		title:  "Not in your country",
		detail: "This account does not allow new checkouts in your country. What is checked out stays so.",
		next:   []string{"Work with a connection to the network.", "Ask {admins} whether a checkout can be allowed."},
	},
	"checkout-off/here": {
		title:  "Not at this site",
		detail: "This site does not allow new checkouts. What is checked out stays so.",
		next:   []string{"Work with a connection to the network.", "Ask {admins} whether a checkout can be allowed."},
	},
	"checkout-written-off": {
		title:  "Written off",
		detail: "The checkout of {product} on this machine was given up for lost by an administrator. It cannot be renewed.",
		next:   []string{"Return it: then {product} can be started, or checked out again."},
		until:  "It ends on {until} at the latest.",
	},
	"too-many-checkouts": {
		title:  "Too many checkouts",
		detail: "You have {checkouts} already.",
		next:   []string{"Return those that you do not need."},
	},
	"unknown-user": {
		title:  "Not known here",
		detail: "You are signed in, but this site's account does not have you as a user.",
		next: []string{"Check that you are signed in with the address your company uses.",
			"Ask {admins} whether your user was created in the account, and has a country.",
			"Once that is done, choose Refresh, or sign out and in again."},
	},
	"user-blocked": {
		title:  "Blocked",
		detail: "Your user is blocked in this site's account.",
		next:   []string{"Ask {admins} why."},
	},
	"unknown-product": {
		title:  "No such product",
		detail: "This site's account has no product of this id.",
		next:   []string{"Check the id of the product.", "If it was bought only now, try again in a few minutes."},
	},
	"unknown-session": {
		title:  "Not running",
		detail: "This session is not running, or not any more.",
		next:   []string{"Start {product} again."},
	},
	"unknown-checkout": {
		title:  "Not checked out",
		detail: "There is no such checkout, or not any more.",
		next:   []string{"Look at the list of your checkouts."},
	},
	"too-many-sessions": {
		title:  "Too many sessions",
		detail: "You have {sessions} running already.",
		next:   []string{"Close some, or wait a few minutes for those of a crashed program to end."},
	},
	"not-yours": {
		title:  "Not yours",
		detail: "This belongs to another user or to another machine.",
		next:   []string{"Do it on the machine it was begun on, signed in as the same user."},
	},
	"already-ended": {
		title:  "Over already",
		detail: "This was ended before and cannot go on.",
		next:   []string{"Start {product} again."},
	},
	"id-in-use": {
		title:  "Id in use",
		detail: "The id of this request has been used for something else.",
		next:   []string{"Start {product} again; each start needs an id of its own."},
	},
	"takeover-refused": {
		title:  "Active on another machine",
		detail: "You are active on {machine} with {holding}, and at this site another machine cannot ask it to let go.",
		next: []string{"Close {holding} on {machine}, or wait here: you are told as soon as the license is free.",
			"If you cannot get to {machine}, ask {admins} to end its session."},
	},
	"takeover-not-possible": {
		title:  "It cannot be taken over",
		detail: "You are active on {machine} with {holding}, and the program there would not close by itself in time.",
		next: []string{"Close {holding} on {machine}, or wait here: you are told as soon as the license is free.",
			"If you cannot get to {machine}, ask {admins} to end its session."},
	},
	"takeover-checkout": {
		title:  "A checkout cannot be taken over",
		detail: "Your license is checked out on {machine}. A checkout cannot be taken over.",
		next: []string{"Return the license on {machine}.",
			"If {machine} is lost or broken, ask {admins}."},
		until: "It is free on {until} at the latest.",
	},
	"takeover-under-way": {
		title:  "Another of your machines is taking over",
		detail: "From {machine} you asked for your license, and it is being freed for that machine.",
		next:   []string{"Save your work and close it here; or give the request up on {machine}, and go on."},
		until:  "The sessions on your other machines end on {until}.",
	},
	"unknown-request": {
		title:  "Nobody asks any more",
		detail: "There is no such request, or not any more.",
		next:   []string{"Go on with your work: nothing more is to be done."},
	},
	"too-late": {
		title:  "Too late",
		detail: "The request was under way for too long, and nothing was done.",
		next:   []string{"Try again."},
	},
	"bad-command": {
		title:  "Not understood",
		detail: "The request does not name a machine, or something in it is empty, too long or out of bounds.",
		next:   []string{"Update the client; if this stays, tell {admins} the number of this answer."},
	},
	"unknown-user/person": {
		title:  "Not in the account",
		detail: "{person} is not a user of this site's account.",
		next:   []string{"Check the id, or add the user, with their country, to the account first."},
	},
	"no-country/person": {
		title:  "No country",
		detail: "{person} has no entitlement country in this site's account and cannot be assigned a license.",
		next:   []string{"Enter the user's country in the account first, or choose another user."},
	},
	"user-blocked/person": {
		title:  "Blocked in the account",
		detail: "{person} is blocked in this site's account and cannot be assigned a license.",
		next:   []string{"Unblock the user in the account first, or choose another one."},
	},
	"move-locked": {
		title:  "The license cannot be moved yet",
		detail: "The license of {product} is assigned to {person}. It could be moved in the first 24 hours; now it is locked for 30 days.",
		next:   []string{"Wait until the lock is over, or assign another license of {product}."},
		until:  "It can be moved from {until}.",
	},
	"user-not-found": {
		title:  "Assigned to a user who is gone",
		detail: "The license of {product} is assigned to {person}, who was removed from the account. It cannot be moved any more by the account's administrators.",
		next:   []string{"Open a service request with the vendor, category Licensing assistance, and give the details of the user who was removed."},
	},
	"other-account": {
		title:  "The user belongs to another account",
		detail: "{person} is a user of another account and cannot be assigned a license here.",
		next:   []string{"Have the user removed from the other account first, then try again."},
	},
	"cloud-cannot": {
		title:  "Not from here",
		detail: "The vendor's cloud does not take this from a site. Nothing was done.",
		next:   []string{"Do it on the vendor's page for Virtuoso licenses, in Entitlement Management. This site sees it a moment later."},
	},
	"machine-blocked": {
		title:  "This machine is blocked",
		detail: "This machine was blocked at this site by {by}.",
		next:   []string{"Work on another machine, or ask {admins}."},
	},
	"user-blocked-here": {
		title:  "Blocked at this site",
		detail: "You were blocked at this site by {by}.",
		next:   []string{"Ask {admins} why."},
	},
	"machine-clone": {
		title:  "Another computer goes by this one's id",
		detail: "Something is open on {machine}, and this computer goes by the same id with another key: it is not the same computer. IT was told.",
		next:   []string{"If this is the computer that you work on, close the product wherever else it runs, wait three minutes, and try again.", "If it was set up anew while a license was checked out to it, ask {admins} to take its old key from it."},
	},
	"too-many-keys": {
		title:  "Too many computers",
		detail: "You have shown the keys of as many computers here, lately, as are kept of one person; that of {machine} is one too many.",
		next:   []string{"Work on one of those.", "If you work on so many, or on fewer, tell {admins}: the keys of computers that are gone can be taken back."},
	},
	"machine-key-needed": {
		title:  "This computer has to show its key",
		detail: "{machine} goes by a key at this site, or the site asks every computer for one, and the request has shown none.",
		next:   []string{"Start the product as you usually do on this computer.", "If there is no other way, ask {admins}."},
	},
	"sign-in-needed": {
		title:  "Sign in again",
		detail: "You have worked without your sign-in for as long as that is possible. What runs goes on; nothing new can be started.",
		next:   []string{"Sign in again, and try again.", "If the sign-in cannot be reached, tell IT."},
		until:  "It was possible until {until}.",
	},
	"too-many-blocks": {
		title:  "Too many blocks",
		detail: "This site has {blocks} already.",
		next:   []string{"Lift those that are not needed any more."},
	},
	"unknown-token": {
		title:  "Unknown join token",
		detail: "This cluster has issued no such join token, or it is long over.",
		next:   []string{"Copy the token again, all of it, or issue another one: sitegate cluster token."},
	},
	"token-used": {
		title:  "The join token has been used",
		detail: "This join token has let node {node} in already; each lets in one machine.",
		next:   []string{"Issue another one: sitegate cluster token.", "If it was not you who used it, remove that node: sitegate cluster remove {node}."},
	},
	"token-expired": {
		title:  "The join token has expired",
		detail: "This join token was good until {until}.",
		next:   []string{"Issue another one: sitegate cluster token."},
	},
	"name-in-use": {
		title:  "The name is taken",
		detail: "Another one goes by this name.",
		next:   []string{"Choose another name, or remove the other one first."},
	},
	"unknown-credential": {
		title:  "There is none",
		detail: "No such token or account is good at this site.",
		next:   []string{"List what there is; it may have expired or have been taken back."},
	},
	"too-many-credentials": {
		title:  "Too many API tokens",
		detail: "{limit} API tokens are good already.",
		next:   []string{"Take back those that nobody uses."},
	},
	"too-many-accounts": {
		title:  "Too many local accounts",
		detail: "{limit} local accounts are there already: they are for when nothing else works.",
		next:   []string{"Remove one first, or have people sign in at the company's issuer."},
	},
	"too-many-tokens": {
		title:  "Too many join tokens",
		detail: "{limit} join tokens are open already.",
		next:   []string{"Use those, or wait until they have expired."},
	},
	"node-known": {
		title:  "The name is taken",
		detail: "Node {node} is a member of this cluster, with another data folder.",
		next:   []string{"Give the new machine a name of its own.", "If that node's disk is lost or was emptied, remove it first on another node, sitegate cluster remove {node}, and join again with a token."},
	},
	"node-removed": {
		title:  "Removed from the cluster",
		detail: "Node {node} was removed from this cluster by {by}, with its data folder and its certificate.",
		next:   []string{"To use the machine again, move its data folder away and join with a new token: sitegate cluster join."},
	},
	"too-many-nodes": {
		title:  "Too many names",
		detail: "This cluster remembers {limit} names of nodes, those that were removed among them.",
		next:   []string{"Use one of the names of removed nodes again."},
	},
	"unknown-license": {
		title:  "No such license",
		detail: "This site's account has no license of this id.",
		next:   []string{"Check the id of the license.", "If it was bought only now, try again in a few minutes."},
	},
	"mirror-shrunk": {
		title:  "More than half would be gone",
		detail: "The cloud's list lacks more than half of the users, licenses or assignments that this site knows. Nothing of that is taken away.",
		next: []string{"See sitegate status for how many are missing, and ask the vendor why.",
			"If it is meant, accept it with sitegate mirror accept."},
	},
	"mirror-follows-feed": {
		title:  "The cloud's list comes first",
		detail: "This site follows the list that its cloud keeps up to date, which is newer and more certain than any file. Nothing was imported.",
		next:   []string{"Change it in the vendor's portal; it is here within seconds."},
	},
	"keys-not-held": {
		title:  "Nothing to accept",
		detail: "No node holds back this set of the issuer's keys, or not any more.",
		next:   []string{"Look at sitegate trust show again, and accept what it shows now."},
	},
	"mirror-not-held": {
		title:  "Nothing to accept",
		detail: "The site follows the cloud's list; nothing of it is held back.",
		next:   []string{"Look at sitegate status."},
	},
}
