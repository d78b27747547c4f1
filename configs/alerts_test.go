package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/configs"
)

func TestAlertsOfAConfiguration(t *testing.T) {
	good := configs.SingleNode + `
alerts:
  mail: {server: mail.example.com:587, from: Gate <gate@example.com>, to: [desk@example.com], username: gate, password_file: mail.password}
  webhooks: [{name: chat, url: https://hooks.example.com/sitegate, secret_file: hook.secret}]
`
	c, _, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Alerts; a == nil || a.After != time.Minute || a.Language != "en" || a.Mail.TLS != configs.MailStartTLS || a.Mail.To[0] != "desk@example.com" || a.Webhooks[0].Name != "chat" || !filepath.IsAbs(a.Webhooks[0].SecretFile) {
		t.Errorf("got %+v", a)
	}
	for name, test := range map[string]struct{ from, to, want string }{
		"no way":             {"\n  mail: {server: mail.example.com:587, from: Gate <gate@example.com>, to: [desk@example.com], username: gate, password_file: mail.password}\n  webhooks: [{name: chat, url: https://hooks.example.com/sitegate, secret_file: hook.secret}]", " {after: 2m}", "says no way"},
		"no port":            {"mail.example.com:587", "mail.example.com", `alerts.mail.server: "mail.example.com" is not host:port`},
		"no TLS":             {"server:", "tls: none, server:", `"none" is not one of starttls, implicit`},
		"half a sign-in":     {", password_file: mail.password", "", "alerts.mail.password_file: is missing; it goes together with alerts.mail.username"},
		"no sender":          {"from: Gate <gate@example.com>, ", "", "alerts.mail.from: is missing"},
		"a sender's line":    {"Gate <gate@example.com>", `"gate@example.com\r\nBcc: x@example.com"`, "alerts.mail.from: "},
		"a quoted sender":    {"Gate <gate@example.com>", `'"gate@evil.test> SIZE=1"@example.com'`, "is no address"},
		"no receiver":        {", to: [desk@example.com]", "", "alerts.mail.to: is missing"},
		"an odd receiver":    {"[desk@example.com]", "[desk]", `alerts.mail.to[1]: "desk" is no address`},
		"in the clear":       {"https://hooks", "http://hooks", "is not https"},
		"a secret in a URL":  {"https://hooks.example.com/sitegate", `"https://hooks.example.com/sitegate?token=x"`, "has more than scheme, host and port"},
		"unsigned":           {", secret_file: hook.secret", "", "alerts.webhooks[1].secret_file: is missing"},
		"a name that is one": {"name: chat", "name: Mail", "is the name of another way"},
		"an odd language":    {"\n  mail:", "\n  language: it\n  mail:", `alerts.language: "it" is not one of en, fr, de`},
		"too patient":        {"\n  mail:", "\n  after: 2h\n  mail:", "alerts.after: is 2h"},
	} {
		text := strings.Replace(good, test.from, test.to, 1)
		if text == good {
			t.Fatalf("%s: nothing is changed", name)
		}
		if _, _, err := load(t, text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}

	// The files are looked at, and are for this user's eyes.
	file := write(t, good)
	dir := filepath.Dir(file)
	for name, mode := range map[string]os.FileMode{"cloud.secret": 0o600, "hook.secret": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("s3cret\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if c, _, err = configs.Load(file, none, nil); err != nil {
		t.Fatal(err)
	}
	c.DataDir = t.TempDir()
	err = c.CheckFiles()
	for _, want := range []string{"alerts.mail.password_file: ", "alerts.webhooks[1].secret_file: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the files: got %v, want %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the secret shows in %v", err)
	}
}
