package desktop

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// postFirst tells at once of a beginning, where use is posted as it happens.
func (a *Application) postFirst(ctx context.Context) {
	if a.c.cfg.RealTime {
		a.c.postLogs(ctx)
	}
}

// postLogs posts all that is recorded; what is not taken stays for the next time. It reports whether everything was taken.
func (c *Client) postLogs(ctx context.Context) bool {
	if c.cfg.RealTime {
		return c.postRealTime(ctx)
	}
	return c.postFiles(ctx)
}

func (c *Client) postRealTime(ctx context.Context) bool {
	c.mu.Lock()
	uses, features := c.kept.Usage, c.kept.Features
	c.kept.Usage, c.kept.Features = nil, nil
	c.mu.Unlock()
	var left []use
	for _, u := range uses {
		if c.taken(c.post(ctx, PostingService, "", true, c.posting(u))) != nil {
			left = append(left, u)
		}
	}
	if len(features) > 0 {
		var list []map[string]any
		for _, f := range features {
			list = append(list, c.featureLog(f))
		}
		if c.taken(c.post(ctx, PostingService, "/featureLog", true, list)) == nil {
			features = nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.Usage, c.kept.Features = append(left, c.kept.Usage...), append(features, c.kept.Features...)
	return c.kept.save() == nil && len(left)+len(features) == 0
}

// taken says whether an answer acknowledges a posting.
func (c *Client) taken(answer []byte, err error) error {
	var got struct{ Status string }
	if err == nil {
		err = json.Unmarshal(answer, &got)
	}
	if err == nil && !strings.EqualFold(got.Status, "success") {
		err = errors.New("the answer is " + got.Status)
	}
	return err
}

// posting is a use as it is posted in real time.
func (c *Client) posting(u use) map[string]any {
	return map[string]any{"ultID": u.Ultimate, "pid": u.Principal, "imsID": u.User, "hID": bareMachine(c.cfg.Machine), "uID": c.cfg.Login,
		"polID": u.Policy, "secID": u.Securable, "prdid": u.Product.ID, "fstr": u.Product.Feature, "ver": versionNumber(u.Product.Version), "projID": noProject,
		"corID": u.Correlation, "evTimeZ": u.To.Format("2006-01-02T15:04:05.000Z"), "lVer": 1, "lSrc": u.Source, "country": u.Country, "uType": u.UsageType}
}

// open is the end of what goes on.
const open = "0001-01-01T00:00:00Z"

// featureLog is the use of a feature as it is posted.
func (c *Client) featureLog(f featureUse) map[string]any {
	p := c.posting(f.use)
	p["ftrID"], p["sDateZ"], p["eDateZ"], p["uData"] = f.Feature, f.From.Format("2006-01-02T15:04:05.000Z"), open, []any{}
	if !f.To.IsZero() {
		p["eDateZ"] = f.To.Format("2006-01-02T15:04:05.000Z")
	} else {
		p["evTimeZ"] = p["sDateZ"]
	}
	return p
}

// finish records the end of a session: of its use, and, where use is posted as it happens, of the product itself.
func (a *Application) finish(now time.Time) {
	a.record(now)
	if !a.c.cfg.RealTime {
		return
	}
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	a.c.kept.Features = append(a.c.kept.Features, featureUse{a.use(a.begun, now), a.want.ID})
	a.c.kept.save()
}

// postFiles writes what is recorded to files, and puts all files that are there, those that were not taken before among them.
func (c *Client) postFiles(ctx context.Context) bool {
	c.mu.Lock()
	uses := c.kept.Usage
	sheets := map[string][][]string{} // by account and product
	for _, u := range uses {
		sheets[u.Ultimate+"/"+u.Product.ID] = append(sheets[u.Ultimate+"/"+u.Product.ID], c.sheet(u))
	}
	c.kept.Usage = nil
	err := c.kept.save()
	c.mu.Unlock()
	for _, rows := range sheets {
		err = errors.Join(err, writeSheet(filepath.Join(c.cfg.Folder, "LicUsageLog."+rand.Text()+".csv"), rows))
	}
	files, globbed := filepath.Glob(filepath.Join(c.cfg.Folder, "LicUsageLog.*.csv"))
	err = errors.Join(err, globbed)
	for _, f := range files {
		if put := c.putFile(ctx, f); put != nil {
			err = errors.Join(err, put)
		} else {
			err = errors.Join(err, os.Remove(f))
		}
	}
	return err == nil
}

func writeSheet(file string, rows [][]string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write(sheetColumns)
	w.WriteAll(rows) // a bytes.Buffer takes everything
	return os.WriteFile(file, b.Bytes(), 0o600)
}

// putFile asks where a file goes, and puts it there.
func (c *Client) putFile(ctx context.Context, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(rows) < 2 {
		return errors.Join(err, os.Remove(file)) // damaged: there is nothing in it
	}
	q := url.Values{"ultId": {rows[1][0]}, "prdId": {rows[1][2]}, "lng": {"en"}}
	answer, err := c.call(ctx, http.MethodGet, c.find(ctx, LocationService)+"/usageLog?"+q.Encode(), false, nil)
	if err != nil {
		return err
	}
	var at struct {
		EpURI  string
		EpInfo struct{ SharedAccessSignature string }
	}
	if err := json.Unmarshal(answer, &at); err != nil || at.EpURI == "" {
		return errors.Join(err, errors.New("there is no place for a file"))
	}
	_, err = c.call(ctx, http.MethodPut, at.EpURI+at.EpInfo.SharedAccessSignature, false, b, "x-ms-blob-type", "BlockBlob")
	return err
}
