package phrase

import "testing"

func TestNothingIsAFormula(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "road": "road", "a=1": "a=1", "ß": "ß", "=1+1": "'=1+1", "+1": "'+1", "-2": "'-2", "@SUM(A1)": "'@SUM(A1)",
		"'=1": "''=1", "\t=1": "'\t=1", "\r=1": "'\r=1",
	} {
		if got := NoFormula(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
