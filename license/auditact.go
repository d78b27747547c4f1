package license

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// actOf is what a fact says in the audit trail, if an administrator has caused it, or the site
// has granted something without the cloud. A fact that says who did something is here, or in
// the list of those that are not, in raftstore's tests.
func actOf(f Fact) (act, bool) {
	switch f := f.(type) {
	case Released:
		n := f.Session.Notice
		if n == nil || n.Reason != EndReleased {
			return act{}, false // the block tells of it
		}
		return act{What: "session-released", By: n.By, User: f.Session.User, Machine: f.Session.Machine, About: string(f.Session.Product), Note: n.Note}, true
	case GrantedAlone: // the site's own act; to whom is in the event, for as long as that is kept
		return act{What: "granted-alone", About: string(f.Product)}, true
	case UserReleased:
		return act{What: "user-released", By: f.By, User: f.User, Note: f.Note, Count: uint64(f.Sessions)}, true
	case Blocked:
		return act{What: "blocked", By: f.Bar.By, User: f.Bar.User, Machine: f.Bar.Machine, Note: f.Bar.Note}, true
	case Unblocked:
		return act{What: "unblocked", By: f.By, User: f.Bar.User, Machine: f.Bar.Machine, Note: f.Note}, true
	case KeyForgotten:
		return act{What: "machine-key-forgotten", By: f.By, User: f.User, Machine: f.Machine, Note: f.Note}, true
	case CheckedOut:
		x := &f.Checkout
		return act{What: "checked-out-for-user", By: x.By, User: x.User, Machine: x.Machine, About: string(x.License), Note: x.Note}, x.By != ""
	case WrittenOff:
		x := &f.Checkout
		a := act{What: "checkout-written-off", User: x.User, Machine: x.Machine, About: string(x.License)}
		if w := x.WrittenOff; w != nil {
			a.By, a.Note = w.By, w.Note
		}
		return a, true
	case Moved:
		return act{What: "license-moved", By: f.By, User: f.To, About: string(f.License), Note: f.Note}, f.By != ""
	case Imported:
		return act{What: "mirror-imported", By: f.By, Note: f.Note, Count: uint64(f.Changes)}, true
	case ShrinkAccepted:
		return act{What: "shrink-accepted", By: f.By, Note: f.Note}, true
	case KeysAccepted:
		return act{What: "issuer-keys-accepted", By: f.By, About: f.Issuer, Note: f.Note, Count: uint64(len(f.Keys))}, true
	case MaintenanceTold:
		what := "maintenance-announced"
		if f.Over {
			what = "maintenance-taken-back"
		}
		return act{What: what, By: f.Maintenance.By, Note: f.Maintenance.Note}, true
	case BypassTold:
		a := act{What: "bypass-begun", By: f.Bypass.By, Note: f.Bypass.Note, About: "until " + f.Bypass.Until.String()}
		if f.Over {
			a.What, a.By, a.Note = "bypass-ended", f.By, f.Note
		}
		return a, a.By != ""
	case Configured:
		return act{What: "settings-changed"}, true
	case TimeAccepted:
		return act{What: "time-accepted", By: f.By, About: f.From.String() + " " + f.To.String(), Note: f.Note}, true
	case UsageExported:
		return act{What: "usage-exported", By: f.Export.By, About: strconv.FormatUint(f.Export.Number, 10), Count: f.Export.Records}, true
	case UsageReceived:
		return act{What: "usage-receipt-taken", By: f.By, About: strconv.FormatUint(f.Number, 10)}, true
	case UsageSettled:
		return act{What: "usage-sent-again", By: f.By, Count: uint64(len(f.Records))}, f.By != ""
	}
	if a, is := authorityAct(f); is {
		return a, true
	}
	return clusterAct(f)
}

// authorityAct is actOf for who may administer. People are users in it, whatever they
// sign in by.
func authorityAct(f Fact) (act, bool) {
	credential := func(x Credential, done, by string) act {
		if x.Kind == APIToken {
			return act{What: "api-token-" + done, By: by, About: strings.ToValidUTF8(x.Name, "?") + ", " + strings.Join(append([]string{x.Role.String()}, x.Scopes.Names()...), " ")}
		}
		return act{What: "sign-in-" + done, By: by, User: UserID(x.Name), About: x.Role.String()}
	}
	switch f := f.(type) {
	case CredentialGiven:
		return credential(f.Credential, "given", f.Credential.By), true
	case CredentialEnded:
		return credential(f.Credential, "ended", f.By), true
	case AccountSet:
		if f.Own {
			return act{What: "password-changed", By: f.By, User: UserID(f.Name), About: f.Role.String()}, true
		}
		return act{What: "account-set", By: f.By, User: UserID(f.Name), About: f.Role.String()}, true
	case AccountRemoved:
		return act{What: "account-removed", By: f.By, User: UserID(f.Name)}, true
	}
	return act{}, false
}

// IsAct reports whether a fact is in the audit trail: for the store's test that holds each fact
// which names somebody to be there, or to be left out on purpose.
func IsAct(f Fact) bool {
	_, is := actOf(f)
	return is
}

// clusterAct is actOf for what concerns the nodes.
func clusterAct(f Fact) (act, bool) {
	switch f := f.(type) {
	case TokenIssued:
		return act{What: "join-token-issued", By: f.Token.By, About: "until " + f.Token.Until.String()}, true
	case Joined:
		return act{What: "node-joined", By: f.Token.By, About: nodeWords(f.Node)}, true
	case Enrolled:
		return act{What: "node-enrolled", About: nodeWords(f.Node)}, true
	case NodeRemoved:
		return act{What: "node-removed", By: f.Node.By, About: nodeWords(f.Node), Note: f.Node.Note}, true
	case RekeyBegan:
		return act{What: "site-ca-replaced", By: f.By, About: rootWords(f.Root), Note: f.Note}, true
	case RekeyEnded:
		return act{What: "site-ca-before-dropped", About: rootWords(f.Root), Count: uint64(len(f.Left))}, true
	case LevelRaised:
		return act{What: "level-raised", About: strconv.FormatUint(uint64(f.Level), 10)}, true
	case Resumed:
		what := "restored"
		if f.Recovered {
			what = "recovered"
		}
		return act{What: what, About: "epoch " + strconv.FormatUint(f.Epoch, 10)}, true
	case RestoreAccepted:
		return act{What: "restore-accepted", By: f.By, Note: f.Note}, true
	}
	return act{}, false
}

// rootWords name a CA by the first digits of its fingerprint.
func rootWords(root Digest) string { return "SHA256:" + hex.EncodeToString(root[:8]) }

func nodeWords(n Node) string {
	words := n.Name
	if n.Generation > 0 {
		words += " generation " + strconv.FormatUint(n.Generation, 10)
	}
	return strings.ToValidUTF8(words, "?")
}
