package gateway

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"sitegate/license"
)

// ErrSocket: the leader does not take an act from the operator's socket of another node,
// whose word is all that there is for it.
var ErrSocket = errors.New("the leader takes this from its own socket, or with an administrator's credential")

// Administrator is whose an administrator's credential is, as this node has verified it.
type Administrator struct {
	Name   string                 // as it is recorded of what they do
	Role   license.Authority      // zero: none
	Scopes license.TokenScopes    // of an API token, of what the role allows; zero: all of it
	Secret license.Digest         // of the credential, where it is one of this site's own
	Begins license.CredentialKind // the sign-in that may be begun by it; zero: none
}

type socketKey struct{}

// WithSocket notes that a request came by the operator's socket of this node.
func WithSocket(ctx context.Context) context.Context {
	return context.WithValue(ctx, socketKey{}, true)
}

func bySocket(ctx context.Context) bool {
	is, _ := ctx.Value(socketKey{}).(bool)
	return is
}

// act is what an administrator does.
type act struct {
	role license.Authority // that it takes
	by   *string           // who does it, as the request says
	// socket: the leader takes it at the word of another node that somebody on its socket
	// has asked. That is what takes away, lets go or waits, can be done again, and is
	// journalled with the node: whoever holds a node's certificate makes no credential,
	// account, license or checkout of it, and no machine's key is forgotten.
	socket bool
	scopes license.TokenScopes // one of which an API token needs that has any
}

// act is the act of an administrator that a request is; nil: it is none.
func (r *request) act() *act {
	switch {
	case r.Block != nil:
		return &act{license.Operator, &r.Block.By, true, license.MachinesScope}
	case r.Unblock != nil:
		return &act{license.Operator, &r.Unblock.By, false, license.MachinesScope}
	case r.Release != nil:
		return &act{license.Operator, &r.Release.By, true, license.SessionsScope}
	case r.ReleaseUser != nil:
		return &act{license.Operator, &r.ReleaseUser.By, true, license.SessionsScope}
	case r.WriteOff != nil: // it frees nothing
		return &act{license.Operator, &r.WriteOff.By, true, license.CheckoutsScope}
	case r.Maintain != nil:
		return &act{license.Operator, &r.Maintain.Maintenance.By, true, license.ClusterScope}
	case r.LetPass != nil: // which ends on one's own socket, too
		return &act{license.Operator, &r.LetPass.By, r.LetPass.Over, license.ClusterScope}
	case r.ResendUsage != nil:
		return &act{license.Operator, &r.ResendUsage.By, true, license.UsageScope}
	case r.ExportUsage != nil:
		return &act{license.Admin, &r.ExportUsage.By, true, license.UsageScope}
	case r.ReceiveUsage != nil:
		return &act{license.Admin, &r.ReceiveUsage.By, true, license.UsageScope}
	case r.Move != nil:
		return &act{license.Operator, &r.Move.By, false, license.LicensesScope}
	case r.ForgetKey != nil:
		return &act{license.Operator, &r.ForgetKey.By, false, license.MachinesScope}
	case r.CheckOut != nil && r.CheckOut.By != "":
		return &act{license.Operator, &r.CheckOut.By, false, license.CheckoutsScope}
	case r.ImportCheckout != nil && r.ImportCheckout.By != "":
		return &act{license.Operator, &r.ImportCheckout.By, false, license.CheckoutsScope}
	case r.AcceptShrink != nil:
		return &act{license.Admin, &r.AcceptShrink.By, true, license.LicensesScope}
	case r.AcceptKeys != nil: // by them people are let in
		return &act{license.Admin, &r.AcceptKeys.By, false, license.AccessScope}
	case r.AcceptTime != nil: // the time is that of the nodes' clocks, whoever says so
		return &act{license.Admin, &r.AcceptTime.By, true, license.ClusterScope}
	case r.Import != nil: // into a mirror that no feed fills, in a site without a cloud
		return &act{license.Admin, &r.Import.By, true, license.LicensesScope}
	case r.AcceptRestore != nil:
		return &act{license.Admin, &r.AcceptRestore.By, false, license.ClusterScope}
	case r.EndCredential != nil:
		return &act{license.Admin, &r.EndCredential.By, true, license.AccessScope}
	case r.RemoveLocalAccount != nil:
		return &act{license.Admin, &r.RemoveLocalAccount.By, true, license.AccessScope}
	case r.GiveCredential != nil:
		return &act{license.Admin, &r.GiveCredential.By, false, license.AccessScope}
	case r.SetLocalAccount != nil:
		return &act{license.Admin, &r.SetLocalAccount.By, false, license.AccessScope}
	case r.NoteAct != nil && r.NoteAct.By != "":
		return &act{license.Viewer, &r.NoteAct.By, true, license.AnyScope}
	case r.EraseNames != nil:
		return &act{license.Admin, &r.EraseNames.By, false, license.AuditScope}
	case r.ExportAudit != nil: // what was exported may be dropped
		return &act{license.Admin, &r.ExportAudit.By, false, license.AuditScope}
	}
	return nil
}

// word reports whether a request is one that another node is believed, which nobody in
// particular asks for. What was relayed was looked at there: the vendor has signed what its
// own client may use, and takes that client's token, which nobody here can judge. It begins
// nothing while another machine holds the license, and journals nothing as a user's own.
// The rest grants nothing to anybody. Of what it sees itself a node speaks in its own name
// only, where that counts: keys that a node is said to go by are believed by the others.
func (r *request) word(from string) bool {
	switch {
	case r.StartRelayed != nil, r.ImportCheckout != nil && r.ImportCheckout.By == "": // what was relayed
	case r.Report != nil, r.KeepPosting != nil: // what was posted
	case r.Learn != nil, r.Observe != nil, r.WouldRefuse != nil, r.Refused != nil, r.NoteRevoked != nil, r.SeeKey != nil: // what the node saw
	case r.NoteAct != nil && r.NoteAct.By == "": // whom it has let in nowhere
	case r.NoteLockout != nil, r.NoteAlert != nil: // what its way out is like, and what it is to be looked after for
	case r.NoteKeys != nil: // which keys an issuer shows it: the others have theirs from the issuer, too
		return strings.EqualFold(r.NoteKeys.Node, from)
	case r.Refresh != nil: // a look at the vendor's changes
	case r.UseCredential != nil: // that one was used, which lengthens no life
	default:
		return false
	}
	return true
}

// vouchedAct reports whether an act is an administrator's, who may do it.
func (g *Gateway) vouchedAct(ctx context.Context, from string, r *request, a *act) error {
	if r.Proof == "" {
		if !r.Socket {
			return fmt.Errorf("%w: no administrator's credential was passed on", ErrCaller)
		}
		if !a.socket {
			return ErrSocket
		}
		*a.by = license.SaidAt(*a.by, from)
		g.logger.Info("act by another node's socket", "id", r.ID, "from", from, "by", *a.by)
		return nil
	}
	who, err := g.administers(ctx, r.Proof)
	switch {
	case err != nil:
		return err
	case r.EndCredential != nil && r.EndCredential.Secret != license.Digest{} && r.EndCredential.Secret == who.Secret:
		return nil // their own
	case r.SetLocalAccount != nil && r.SetLocalAccount.First != license.Digest{}:
		if r.SetLocalAccount.First != who.Secret {
			return fmt.Errorf("%w: it is not the token for the first account", ErrCaller)
		}
		return nil
	case r.SetLocalAccount != nil && r.SetLocalAccount.Was != 0:
		if c := r.SetLocalAccount; who.Begins != license.SignedInHere || who.Name != c.Name || who.Name != c.By || who.Role != c.Role || !c.Reset {
			return fmt.Errorf("%w: it is not that account's password", ErrCaller)
		}
		return nil
	case *a.by != who.Name:
		return fmt.Errorf("%w: it does not speak for %q", ErrCaller, *a.by)
	case r.GiveCredential != nil && r.GiveCredential.Kind != license.APIToken:
		if c := r.GiveCredential; who.Begins == 0 || who.Begins != c.Kind || who.Name != c.Name || who.Role < c.Role {
			return fmt.Errorf("%w: it begins no such sign-in", ErrCaller)
		}
		return nil
	case who.Role < a.role:
		return fmt.Errorf("%w: it has not the role %s", ErrCaller, a.role)
	case !who.Scopes.Allow(a.scopes):
		return fmt.Errorf("%w: it is not for %s", ErrCaller, a.scopes.Names())
	}
	return nil
}

// commands counts what a request asks for. One that asks for two would be judged by one of
// them.
func (r *request) commands() (n int) {
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			n++
		}
	}
	return n
}

// stripped drops what another node cannot say of a request: that the vendor has agreed to it,
// or made it, stands in no other than what was relayed.
func (r *request) stripped() {
	if c := r.Start; c != nil {
		c.Agreed, c.Relayed, c.Offline = false, false, false
	}
	if c := r.CheckOut; c != nil {
		c.Agreed, c.Imported = false, false
	}
	if c := r.Move; c != nil {
		c.Agreed, c.Cannot = false, false
	}
	if c := r.StartRelayed; c != nil {
		c.Relayed = true
	}
	if c := r.ImportCheckout; c != nil {
		c.Agreed, c.Imported = true, true
	}
}
