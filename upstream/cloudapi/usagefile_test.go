package cloudapi

import (
	"slices"
	"strings"
	"testing"
)

func TestAFileOfUsageSaysWhoseItIs(t *testing.T) {
	row := func(product, user, machine, source string) string {
		return "a,p," + product + ",DE,," + user + "," + machine + ",s,x,s,p,1,,r-1,1," + source + ",Production,a,b,c,1\r\n"
	}
	names := row("ProductId", "IMSId", "MachineName", "LogPostingSource")
	for what, c := range map[string]struct {
		file string
		want []UsedBy
	}{
		"nothing":       {"", nil},
		"names only":    {names, nil},
		"two":           {names + row("01234", "ada", "WS-1", "Offline") + row("1234", "ada", "WS-1", "Offline") + row("2001", "ben", "WS-2", "RealTime"), []UsedBy{{"ada", "WS-1", "1234", "Offline"}, {"ben", "WS-2", "2001", "RealTime"}}},
		"cut short":     {row("1", "ada", "WS-1", "Offline") + "a,b", []UsedBy{{"ada", "WS-1", "1", "Offline"}}},
		"other columns": {"a,b,c\n", nil},
		"a page":        {"<html>\"no\"</html>", nil},
		"more than is looked for": {row("1", "a", "W", "Offline") + row("2", "a", "W", "Offline") + row("3", "a", "W", "Offline") + row("4", "a", "W", "Offline"),
			[]UsedBy{{"a", "W", "1", "Offline"}, {"a", "W", "2", "Offline"}, {"a", "W", "3", "Offline"}}},
	} {
		if got := ReadUsageFile([]byte(c.file), 3); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", what, got, c.want)
		}
	}
	if got := ReadUsageFile([]byte(row("1", "ada", "WS-1", "Offline")+strings.Repeat("x", usageFileRead)+"\n"+row("2", "ada", "WS-1", "Offline")), 3); len(got) != 1 {
		t.Errorf("of a large file: got %v, want what is at its beginning", got)
	}
}
