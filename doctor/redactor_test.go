package doctor

import (
	"testing"

	"sitegate/configs"
)

// The address of a PAC file may be good for whoever has it; its host is what one looks for.
func TestOfAPACFilesAddressTheHostIsLeft(t *testing.T) {
	c := configs.Default()
	c.Egress.PAC = &configs.PAC{URL: "http://wpad.plant.test:8080/t0ken/proxy.pac?site=7"}
	r := NewRedactor(Config{Settings: c})
	for in, want := range map[string]string{
		`Get "http://wpad.plant.test:8080/t0ken/proxy.pac?site=7": EOF`: `Get "http://wpad.plant.test:8080/…": EOF`,
		"it is at /t0ken/proxy.pac?site=7":                              "it is at (secret)",
		"http://wpad.plant.test/status":                                 "http://wpad.plant.test/status",
	} {
		if got := r.Text(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}
