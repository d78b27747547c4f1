package raftstore

import (
	"fmt"
	"reflect"

	"sitegate/license"
)

// The stable numbers of commands and facts. They are in logs and journals: a
// number is never changed or used anew, and a command whose meaning changes gets
// a new one.
func commandKinds() map[uint64]license.Command {
	return map[uint64]license.Command{
		1:  license.Found{},
		2:  license.Configure{},
		3:  license.Mirror{},
		4:  license.Link{},
		5:  license.Start{},
		6:  license.Stop{},
		7:  license.Expire{},
		8:  license.CheckOut{},
		9:  license.Return{},
		10: license.EndCheckout{},
		11: license.Release{},
		12: license.Wait{},
		13: license.EndWait{},
		14: license.EndReservation{},
		15: license.Confirm{},
		16: license.Conflict{},
		17: license.Refused{},
		18: license.UsageSent{},

		50: license.WriteOff{},
		51: license.CheckInConfirmed{},
		52: license.RemindCheckout{},

		60: license.Move{},
		61: license.Block{},
		62: license.Unblock{},
		63: license.ReleaseUser{},
		64: license.SignOut{},
		40: license.RemindTerm{},
		41: license.Remind{},
		70: license.Request{},
		71: license.WarnEnding{},
		72: license.LetGo{},
		73: license.Decline{},
		74: license.Offer{},
		75: license.WouldRefuse{},

		90:  license.IssueToken{},
		91:  license.Join{},
		92:  license.Enroll{},
		93:  license.RemoveNode{},
		100: license.Resume{},
		101: license.Reread{},
		102: license.AcceptRestore{},
		80:  license.HoldBack{},
		81:  license.AcceptShrink{},
		120: license.AcceptTime{},
		150: license.Import{},
		130: license.RaiseLevel{},
		140: license.SettleUsage{},
		141: license.NoteBacklog{},
		142: license.ExportUsage{},
		143: license.ReceiveUsage{},
		170: license.NoteLockout{},
		190: license.Maintain{},
		180: license.NoteCloud{},
		200: license.Learn{},
		270: license.NoteRevoked{},
		220: license.Report{},
		221: license.KeepPosting{},
		280: license.BindKey{},
		430: license.SeeKey{},
		281: license.ForgetKey{},
		461: license.BarKey{},
		300: license.GiveCredential{},
		301: license.UseCredential{},
		302: license.EndCredential{},
		303: license.SetLocalAccount{},
		304: license.RemoveLocalAccount{},
		320: license.NoteAct{},
		321: license.EraseNames{},
		322: license.ExportAudit{},
		323: license.TrimAudit{},
		410: license.NoteAlert{},
		411: license.AlertTold{},
		440: license.NoteReport{},
		360: license.NoteKeys{},
		361: license.AcceptKeys{},
		450: license.LetPass{},
		451: license.EndBypass{},
		420: license.Rekey{},
		421: license.EndRekey{},
		468: license.KeepPeaks{},
		469: license.Forget{},
		491: license.Book{},
	}
}

func factKinds() map[uint64]license.Fact {
	return map[uint64]license.Fact{
		1:  license.Started{},
		2:  license.Stopped{},
		3:  license.Expired{},
		4:  license.Released{},
		5:  license.CheckedOut{},
		6:  license.Returned{},
		7:  license.CheckoutEnded{},
		8:  license.WaitBegan{},
		9:  license.WaitEnded{},
		10: license.Reserved{},
		11: license.ReservationEnded{},
		12: license.Mirrored{},
		13: license.Assigned{},
		14: license.Unassigned{},
		15: license.LinkChanged{},
		16: license.Configured{},
		17: license.Confirmed{},
		18: license.Conflicted{},
		19: license.Attempted{},
		20: license.UsageAcknowledged{},

		50: license.WrittenOff{},
		51: license.CheckedIn{},
		52: license.CheckoutEnding{},

		60: license.Moved{},
		61: license.Blocked{},
		62: license.Unblocked{},
		63: license.UserReleased{},
		64: license.SignedOut{},
		65: license.CheckoutFlagged{},
		66: license.UserMissing{},
		67: license.LicenseChanged{},
		40: license.LicenseEnds{},
		41: license.TermExtended{},
		42: license.Reminded{},
		70: license.Requested{},
		71: license.TakeoverBegan{},
		72: license.EndingWarned{},
		73: license.TakeoverLifted{},
		74: license.GivenUp{},
		75: license.Declined{},
		76: license.WouldHaveRefused{},

		90:  license.TokenIssued{},
		91:  license.Joined{},
		92:  license.Enrolled{},
		93:  license.NodeRemoved{},
		100: license.Resumed{},
		101: license.CheckoutFound{},
		102: license.CheckoutsRead{},
		103: license.RestoreAccepted{},
		80:  license.MirrorHeld{},
		81:  license.ShrinkAccepted{},
		82:  license.MirrorResumed{},
		150: license.MirrorQuarantined{},
		151: license.GrantedAlone{},
		152: license.LinkSlowed{},
		153: license.LinkStaled{},
		154: license.Imported{},
		120: license.TimeAccepted{},
		130: license.LevelRaised{},
		140: license.UsageSetAside{},
		141: license.UsageSettled{},
		142: license.BacklogChanged{},
		143: license.UsageExported{},
		144: license.UsageReceived{},
		170: license.SecretStopped{},
		171: license.SecretResumed{},
		190: license.MaintenanceTold{},
		200: license.LearnedOf{},
		270: license.PoliciesRevoked{},
		220: license.PostingKept{},
		280: license.KeyBound{},
		281: license.KeyReplaced{},
		282: license.CloneSeen{},
		461: license.KeyBarred{},
		283: license.KeyForgotten{},
		300: license.CredentialGiven{},
		301: license.CredentialEnded{},
		302: license.AccountSet{},
		303: license.AccountRemoved{},
		410: license.AlertRaised{},
		411: license.AlertEnded{},
		360: license.KeysHeld{},
		361: license.KeysAccepted{},
		362: license.KeysResumed{},
		450: license.BypassTold{},
		420: license.RekeyBegan{},
		421: license.RekeyEnded{},
	}
}

// kinds is one of the tables above, to be read in both directions.
type kinds struct {
	word   string
	number map[reflect.Type]uint64
	typ    map[uint64]reflect.Type
}

func newKinds[T any](word string, table map[uint64]T) kinds {
	k := kinds{word: word, number: map[reflect.Type]uint64{}, typ: map[uint64]reflect.Type{}}
	for n, zero := range table {
		t := reflect.TypeOf(zero)
		k.number[t], k.typ[n] = n, t
	}
	return k
}

func (k *kinds) of(v any) (uint64, error) {
	n, ok := k.number[reflect.TypeOf(v)]
	if !ok {
		return 0, fmt.Errorf("%T has no number as a %s", v, k.word)
	}
	return n, nil
}

// make returns a pointer to a new value of the number's type.
func (k *kinds) make(n uint64) (reflect.Value, error) {
	t, ok := k.typ[n]
	if !ok {
		return reflect.Value{}, fmt.Errorf("%s number %d is of a newer version than this program knows; install that version on this node", k.word, n)
	}
	return reflect.New(t), nil
}
