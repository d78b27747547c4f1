// Package krbtest is a Kerberos realm without a KDC, for tests: tickets that are already in a credential cache, and a service that checks
// what is made of them. A KDC can be put in its place that answers everything with one error.
package krbtest

import (
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"
)

// The names of the realm.
const (
	Realm     = "CORP.TEST"
	User      = "svc-lic"
	Principal = User + "@" + Realm
)

// Service is a realm with one service.
type Service struct {
	SPN        string
	ConfigFile string // krb5.conf
	CacheFile  string // a credential cache with a ticket for the service, good for an hour
	KeytabFile string // of the user
	keys       *keytab.Keytab
}

// New makes a realm with a service such as HTTP/proxy.corp.test. kdc is the KDC's address, which nobody needs to listen on.
func New(t *testing.T, spn, kdc string) *Service {
	t.Helper()
	dir := t.TempDir()
	s := &Service{SPN: spn, ConfigFile: filepath.Join(dir, "krb5.conf"), CacheFile: filepath.Join(dir, "cache"), KeytabFile: filepath.Join(dir, "keytab"), keys: keytab.New()}
	conf := fmt.Sprintf("[libdefaults]\n default_realm = %s\n dns_lookup_kdc = false\n[realms]\n %s = {\n  kdc = %s\n }\n", Realm, Realm, kdc)
	now := time.Now().UTC()
	for _, name := range []string{spn, "krbtgt/" + Realm} {
		check(t, s.keys.AddEntry(name, Realm, "the service's own", now, 1, etypeID.AES256_CTS_HMAC_SHA1_96))
	}
	users := keytab.New()
	check(t, users.AddEntry(User, Realm, "the user's own", now, 1, etypeID.AES256_CTS_HMAC_SHA1_96))
	b, err := users.Marshal()
	check(t, err)
	for file, content := range map[string][]byte{s.ConfigFile: []byte(conf), s.KeytabFile: b, s.CacheFile: s.cache(t, now, now.Add(time.Hour))} {
		check(t, os.WriteFile(file, content, 0o600))
	}
	return s
}

// Age replaces the cache by one whose tickets are over.
func (s *Service) Age(t *testing.T) {
	t.Helper()
	now := time.Now().UTC()
	check(t, os.WriteFile(s.CacheFile, s.cache(t, now.Add(-2*time.Hour), now.Add(-time.Hour)), 0o600))
}

// Accept checks a token as the service does, and gives the user who made it. The same token twice is refused.
func (s *Service) Accept(token []byte) (user string, err error) {
	var t spnego.SPNEGOToken
	if err := t.Unmarshal(token); err != nil {
		return "", err
	}
	ok, _, status := spnego.SPNEGOService(s.keys).AcceptSecContext(&t)
	if !ok {
		return "", errors.New(status.Error())
	}
	var inner spnego.KRB5Token
	if err := inner.Unmarshal(t.NegTokenInit.MechTokenBytes); err != nil {
		return "", err
	}
	if err := inner.APReq.Ticket.DecryptEncPart(s.keys, nil); err != nil {
		return "", err
	}
	part := inner.APReq.Ticket.DecryptedEncPart
	return part.CName.PrincipalNameString() + "@" + part.CRealm, nil
}

// cache is a file credential cache, version 4.
func (s *Service) cache(t *testing.T, from, until time.Time) []byte {
	t.Helper()
	user := types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, User)
	b := append([]byte{5, 4, 0, 0}, principal(user)...)
	for _, name := range []string{"krbtgt/" + Realm, s.SPN} {
		service := types.NewPrincipalName(nametype.KRB_NT_SRV_INST, name)
		ticket, key, err := messages.NewTicket(user, Realm, service, Realm, types.NewKrbFlags(), s.keys, etypeID.AES256_CTS_HMAC_SHA1_96, 1, from, from, until, until)
		check(t, err)
		der, err := ticket.Marshal()
		check(t, err)
		b = append(append(b, principal(user)...), principal(service)...)
		b = binary.BigEndian.AppendUint16(b, uint16(key.KeyType))
		b = data(b, key.KeyValue)
		for _, at := range []time.Time{from, from, until, until} {
			b = binary.BigEndian.AppendUint32(b, uint32(at.Unix()))
		}
		b = append(b, make([]byte, 1+4+4+4)...) // no session key of another, no flags, addresses or data
		b = data(b, der)
		b = data(b, nil)
	}
	return b
}

func principal(n types.PrincipalName) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(n.NameType))
	b = binary.BigEndian.AppendUint32(b, uint32(len(n.NameString)))
	b = data(b, []byte(Realm))
	for _, part := range n.NameString {
		b = data(b, []byte(part))
	}
	return b
}

func data(b, d []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(d))), d...)
}

// KDC asks for a proof of the password, and answers every request that has one with an error. It counts requests on asked, until ln is closed.
func KDC(ln net.Listener, code int32, asked chan<- struct{}) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		size := make([]byte, 4)
		if _, err := io.ReadFull(c, size); err == nil {
			request := make([]byte, binary.BigEndian.Uint32(size))
			_, _ = io.ReadFull(c, request) // what is short is no request, and answered so
			_, _ = c.Write(data(nil, kdcError(request, code)))
			asked <- struct{}{}
		}
		c.Close()
	}
}

func kdcError(request []byte, code int32) []byte {
	krbtgt := types.NewPrincipalName(nametype.KRB_NT_SRV_INST, "krbtgt/"+Realm)
	e := messages.NewKRBError(krbtgt, Realm, code, "as the test says")
	var r messages.ASReq
	if r.Unmarshal(request) == nil && !r.PAData.Contains(patype.PA_ENC_TIMESTAMP) {
		e = messages.NewKRBError(krbtgt, Realm, errorcode.KDC_ERR_PREAUTH_REQUIRED, "prove it")
		info, err := asn1.Marshal(types.ETypeInfo2{{EType: etypeID.AES256_CTS_HMAC_SHA1_96}})
		if err != nil {
			return nil
		}
		if e.EData, err = asn1.Marshal(types.PADataSequence{{PADataType: patype.PA_ETYPE_INFO2, PADataValue: info}}); err != nil {
			return nil
		}
		e.CName, e.CRealm = types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, User), Realm
	}
	answer, err := e.Marshal()
	if err != nil {
		return nil
	}
	return answer
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
