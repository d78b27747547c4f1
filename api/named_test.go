package api

import "testing"

func TestAnIDThatIsNoSegmentIsInTheQuery(t *testing.T) {
	for id, want := range map[string]string{
		"u-1": "/v1/users/u-1/block", "a b?": "/v1/users/a%20b%3F/block", "a/b": "/v1/users/-/block?id=a%2Fb", "-": "/v1/users/-/block?id=-",
		"..": "/v1/users/-/block?id=..", ".": "/v1/users/-/block?id=.", "../x&id=y": "/v1/users/-/block?id=..%2Fx%26id%3Dy",
	} {
		if got := Of(PathUsers, id, "/block"); got != want {
			t.Errorf("%q is at %s; want %s", id, got, want)
		}
	}
}
