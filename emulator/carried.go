package emulator

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"

	"sitegate/upstream/cloudapi"
)

// carried is what was carried here, and the key that its receipts are signed with.
type carried struct {
	key     *ecdsa.PrivateKey
	through map[string]cloudapi.UsageManifest // by site: the last file that was taken
}

// ReceiptKeyPEM is the public key of receipts.
func (e *Emulator) ReceiptKeyPEM() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key, err := e.receiptKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}

func (e *Emulator) receiptKey() (_ *ecdsa.PrivateKey, err error) {
	if e.carried.key == nil {
		e.carried.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return e.carried.key, err
}

// TakeUsageFile takes a file of usage records that somebody has carried here, and gives a signed receipt. The site's files come in their
// order, each where the one before ended; who signed is not looked at.
func (e *Emulator) TakeUsageFile(manifest cloudapi.Signed, file io.Reader) (cloudapi.Signed, error) {
	none := cloudapi.Signed{}
	if len(manifest.Certificates) == 0 {
		return none, fmt.Errorf("the manifest has no certificate")
	}
	leaf, err := x509.ParseCertificate(manifest.Certificates[0])
	if err != nil {
		return none, err
	}
	var m cloudapi.UsageManifest
	if err := manifest.Open(cloudapi.KindManifest, leaf.PublicKey, &m); err != nil {
		return none, err
	}
	sum := sha256.New()
	var records []cloudapi.UsageRecord
	lines := bufio.NewScanner(io.TeeReader(file, sum))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r cloudapi.UsageRecord
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return none, fmt.Errorf("line %d: %w", len(records)+1, err)
		}
		records = append(records, r)
	}
	if err := lines.Err(); err != nil {
		return none, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != m.SHA256 || uint64(len(records)) != m.Records {
		return none, fmt.Errorf("the file is not that of the manifest: %d records, SHA-256 %s", len(records), got)
	}
	receipt := cloudapi.UsageFileReceipt{Site: m.Site, Number: m.Number, SHA256: m.SHA256, At: e.now()}
	e.mu.Lock()
	defer e.mu.Unlock()
	if last := e.carried.through[m.Site]; m.Number > last.Number+1 || m.Number == last.Number+1 && last.Number > 0 && m.After != last.Through {
		return none, fmt.Errorf("file %d does not follow on file %d", m.Number, last.Number)
	}
	u := &e.usage
	if u.seen == nil {
		u.seen, u.answers = map[string]bool{}, map[string]posting{}
	}
	for _, r := range records {
		switch {
		case u.refused[r.UserID]:
			receipt.Refused = append(receipt.Refused, cloudapi.RefusedLine{ID: r.ID, Detail: "the user is not known"})
			continue
		case u.seen[r.ID]:
			receipt.Duplicates++
		default:
			u.seen[r.ID] = true
			u.records = append(u.records, r)
		}
		receipt.Accepted++
	}
	if m.Number > e.carried.through[m.Site].Number {
		put(&e.carried.through, m.Site, m)
	}
	key, err := e.receiptKey()
	if err != nil {
		return none, err
	}
	return cloudapi.Sign(cloudapi.KindReceipt, receipt, key)
}
