package cloudapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// aPolicy has something in every field.
func aPolicy(t testing.TB) string {
	t.Helper()
	at := Date{time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)}
	terms := func(names ...string) (list []Qualifier) {
		for _, n := range names {
			list = append(list, Qualifier{MessageID: "m-" + n, Name: n, Value: "TRUE", Type: "bool", Prompt: "You must Sign In."})
		}
		return list
	}
	b, err := json.Marshal(Policy{PolicyID: "p-1", PolicyVersion: "1.0", CreatedOn: at, ExpiresOn: at, MachineSignature: "s", AppliesToUserID: "ada", AppliesToSecurables: []string{"1"},
		RequestData: PolicyRequest{MachineSID: "sid", AccessKey: "k", UserID: "ada", CheckedOutDate: at, RequestedSecurables: []SecurableWanted{{ProductID: "3101", Feature: "f", Version: "10.2.3.4"}, {ProductID: "x", Version: "1", Misspelt: true}},
			MachineName: "WS-101", ClientDateTime: "2026-05-04T08:00:00Z", Locale: "de", AppliesTo: AppliesTo, ProjectID: "pr"},
		ACLs:       []ACL{{PrincipalID: "ada", SecurableID: "1", AccessKind: AccessAllowed, ExpiresOn: at, Overrides: terms("A", "B")}, {}},
		Securables: []Securable{{SecurableID: "1", ProductID: "3101", ProductName: "Brücken", Feature: "f", Version: "10.2.3.4", Overrides: terms("C")}},
		UserData:   UserData{UserID: "ada", OrganizationID: "o", Country: "DE", UltimateID: "u", UltimateCountryID: "uc"}, MetaData: MetaData{SiteName: "s", LicensingMode: "l"},
		Defaults: terms(QualifierHeartbeatInterval, QualifierAllowOfflineUsage)})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// unlikely are policies and requests that somebody writes otherwise, or that are none.
func unlikely(t testing.TB) []string {
	whole := aPolicy(t)
	list := []string{whole, `{}`, ` { } `, `[]`, `null`, `""`, `{"PolicyId":"a","PolicyId":"b"}`, `{"PolicyId":"a","policyid":"b"}`, `{"policyid":"b"}`, `{"PolicyId":null}`, `{"PolicyId":7}`,
		`{"New":1,"new":2}`, `{"New":{"a":[1,-0.5e+3,true,null,"x\n"]}}`, `{"New":01}`, `{"New":1.}`, `{"New":[1,]}`, `{"New":1,}`, `{,}`, `{"New" 1}`, `{"PolicyVersion":"1.0"}`, `{"PolicyVersion":1e2}`,
		`{"ACLs":[{"AccessKind":3},{"AccessKind":-1},null]}`, `{"ACLs":[{"AccessKind":3},{"AccessKind":99999999999}]}`, `{"ACLs":null,"SecurableData":[]}`, `{"ACLs":{}}`, `{"UserData":null}`,
		`{"SecurableData":[{"ProductId":"0031"},{"ProductId":31},{"ProductId":" 31 "},{"ProductId":3.1}]}`, `{"SecurableData":[{"ProductId":null}]}`, `{"PolicyExpiresOn":""}`, `{"PolicyExpiresOn":"soon"}`,
		`{"PolicyExpiresOn":"2026-05-04T08:00:00"}`, `{"PolicyExpiresOn":"2026-05-04T08:00:00.5\u002B02:00"}`, `{"PolicyExpiresOn":null}`, `{"DefaultQualifiers":[{"Name":"A","Value":true},{"Value":7},{"Value":null},{"Prompt":null}]}`,
		`{"DefaultQualifiers":[{"Value":{"a":1}}]}`, `{"DefaultQualifiers":[{"Value":"` + "\n" + `"}]}`, `{"PolicyId":"\ud800\"\\"}`, `{"Poli\u0063yId":"a"}`, `{"ſ":1,"s":2}`, `{"PolicyId":"a"}x`, `{"PolicyId":"a`, `{"PolicyId":"\`,
		"{\"PolicyId\":\"\xff\"}", strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17), strings.Repeat(`{"a":`, 16) + "1" + strings.Repeat("}", 16),
		`{"MachineName":"WS","RequestedSecurables":[{"ProductId":1,"Version":"2","Vesrion":"3"},{"Vesrion":"3","Version":"2"},{"Vesrion":"3","Version":null},{"Version":null,"Vesrion":null},{"Version":""}]}`,
		`{"CheckedOutDate":"2026-05-04T08:00:00Z","AccessKey":"k"}`}
	for i := 0; i < len(whole); i += 97 {
		list = append(list, whole[:i], whole[:i]+whole[i+1:])
	}
	return list
}

// sameEitherWay checks that what is read in one go is what readJSON reads.
func sameEitherWay[T any](t *testing.T, data string, limit int, plainly func(*T, *plain)) (plain_ bool) {
	t.Helper()
	var got, want T
	if !readPlain([]byte(data), limit, func(p *plain) { plainly(&got, p) }) {
		return false
	}
	if err := readJSON([]byte(data), limit, &want); err != nil {
		t.Errorf("%q: got %+v, want it refused: %v", data, got, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%q:\ngot  %+v\nwant %+v", data, got, want)
	}
	return true
}

func TestPoliciesAreReadTheSameEitherWay(t *testing.T) {
	for _, s := range unlikely(t) {
		sameEitherWay(t, s, MaxPolicy, (*Policy).plain)
		sameEitherWay(t, s, MaxPolicyRequest, (*PolicyRequest).plain)
	}
	if !sameEitherWay(t, aPolicy(t), MaxPolicy, (*Policy).plain) {
		t.Error("a policy with something in every field is not read in one go")
	}
	request, err := json.Marshal(PolicyRequest{MachineName: "WS-101", RequestedSecurables: []SecurableWanted{{ProductID: "3101", Version: "10.2.3.4"}}, AppliesTo: AppliesTo, Locale: "en"})
	if err != nil {
		t.Fatal(err)
	}
	if !sameEitherWay(t, string(request), MaxPolicyRequest, (*PolicyRequest).plain) {
		t.Error("a request is not read in one go")
	}
	if sameEitherWay(t, string(request), len(request)-1, (*PolicyRequest).plain) {
		t.Error("a request that is too large is read")
	}
}

// FuzzPlainPolicy shows that what is read in one go is read as strictly, and is the same.
func FuzzPlainPolicy(f *testing.F) {
	for _, s := range unlikely(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		sameEitherWay(t, data, MaxPolicy, (*Policy).plain)
		sameEitherWay(t, data, MaxPolicyRequest, (*PolicyRequest).plain)
	})
}

func BenchmarkReadPolicy(b *testing.B) {
	data := []byte(aPolicy(b))
	b.Run("in one go", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := readPolicy(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("readJSON", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var d Policy
			if err := readJSON(data, MaxPolicy, &d); err != nil {
				b.Fatal(err)
			}
		}
	})
}
