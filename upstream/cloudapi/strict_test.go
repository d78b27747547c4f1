package cloudapi

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// twice is oneOfEach as plain as can be, by the decoder of the standard library; ok: it
// is one JSON value.
func twice(data []byte) (twice, deep, ok bool) {
	if !json.Valid(data) {
		return false, false, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value func(depth int)
	value = func(depth int) {
		tok, err := d.Token()
		if err != nil {
			panic(err)
		}
		delim, nested := tok.(json.Delim)
		if !nested {
			return
		}
		deep = deep || depth == maxJSONDepth
		var seen []string
		for d.More() {
			if delim == '{' {
				name, err := d.Token()
				if err != nil {
					panic(err)
				}
				for _, other := range seen {
					twice = twice || strings.EqualFold(other, name.(string))
				}
				seen = append(seen, name.(string))
			}
			value(depth + 1)
		}
		if _, err := d.Token(); err != nil {
			panic(err)
		}
	}
	value(0)
	return twice, deep, true
}

func FuzzFieldsGivenTwice(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":{"a":2}}`, `{"a":1,"A":2}`, `{"a":[{"b":1},{"b":2}],"c":"\"a\":{"}`, `{"\u0061":1,"a":2}`, `{"a\\":1,"a\\":2}`,
		`[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]`, `[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]`, `"a"`, ``, `{"K":1,"\u212a":2}`, `{"a":{},"b":{"x":[1,{"x":1}]},"B":0}`, `{"a":1`, `{"\ud800":1,"\ud801":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := oneOfEach(data)
		again, deep, ok := twice(data)
		if !ok || bytes.Count(data, []byte(":")) >= maxJSONFields {
			return // only that it does not panic
		}
		if got, want := err != nil, again || deep; got != want {
			t.Errorf("%q: %v; a field twice is %t, too deep is %t", data, err, again, deep)
		}
	})
}

// However a qualifier is written, it is read as the standard library reads it.
func TestQualifierIsReadTheSameEitherWay(t *testing.T) {
	for _, s := range []string{`{}`, `{"Name":"A","Value":"TRUE","Type":"bool","Prompt":"You must Sign In.","MessageId":"m"}`, ` { "Name" : "A" , "Value" : "1" } `,
		`{"Name":"A","Value":true}`, `{"Name":"A","Value":null}`, `{"name":"A","value":"x"}`, `{"Name":"A\n","Value":"x"}`, `{"Name":"A","Value":{"x":[1]}}`,
		`{"Name":"A","Other":1,"Value":"x"}`, `{"Name":null,"Value":7}`} {
		var got Qualifier
		if err := json.Unmarshal([]byte(s), &got); err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		var w map[string]any
		if err := json.Unmarshal([]byte(s), &w); err != nil {
			t.Fatal(err)
		}
		want := Qualifier{}
		for k, v := range w {
			text, isText := v.(string)
			if raw, err := json.Marshal(v); err == nil && !isText && v != nil && strings.EqualFold(k, "Value") {
				text = string(raw)
			}
			switch strings.ToLower(k) {
			case "name":
				want.Name = text
			case "value":
				want.Value = text
			case "type":
				want.Type = text
			case "prompt":
				want.Prompt = text
			case "messageid":
				want.MessageID = text
			}
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", s, got, want)
		}
	}
}

// FuzzTextIsLeftOut shows that nothing else is read of a token's claims when the policy's
// text is taken out first.
func FuzzTextIsLeftOut(f *testing.F) {
	for _, s := range []string{`{"iss":"i","policy":"QUJD","exp":7}`, `{"policy":"QUJD","policy":"QUJE"}`, `{"policy":"QUJD","Policy":"QUJE"}`,
		`{"a":{"policy":"QUJE"},"policy":"QUJD"}`, `{"policy":"QU\u0041JD"}`, `{"policy":"QUJD`, `{"policy":"QUJD"`, `["policy":"QUJD"]`, `{"policy":7}`,
		`{"iss":"\"policy\":\"QUJE","policy":""}`, `{"policy" : "QUJD"}`, `{"a":"policy","policy":"QUJD"}`, `}{{"policy":"QUJD"}`, `{"policy":"QUJD"}x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		type claims struct {
			Issuer  any `json:"iss"`
			Expires any `json:"exp"`
			Policy  any `json:"policy"`
		}
		var want, got claims
		wantErr := readJSON(data, 1<<20, &want)
		rest, text := withoutText(data, "policy")
		gotErr := readJSON(rest, 1<<20, &got)
		if text != "" {
			got.Policy = text
		}
		if (gotErr == nil) != (wantErr == nil) || gotErr == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v (%v), want %+v (%v)", data, got, gotErr, want, wantErr)
		}
	})
}

func TestTextIsLeftOut(t *testing.T) {
	rest, text := withoutText([]byte(`{"iss":"i","a":{"policy":"QUJE"},"policy":"QUI=","exp":7}`), "policy")
	if want := `{"iss":"i","a":{"policy":"QUJE"},"policy":"","exp":7}`; string(rest) != want || text != "QUI=" {
		t.Errorf("got %s and %s, want %s and QUI=", rest, text, want)
	}
}

func TestAnswerIsReadTheSameEitherWay(t *testing.T) {
	for _, body := range []string{`"a.b.c"`, " \n\"a.b.c\"\r\t", `"a.b.c`, `a.b.c"`, `"`, `""`, `"a.b.c""`, `"a\u002eb.c"`, `"a.b.c"x`, "\"a.b\n.c\""} {
		text := bytes.Trim([]byte(body), " \t\r\n")
		var want string
		err := readJSON([]byte(body), MaxPolicy, &want)
		if isTokenInQuotes(text) && (err != nil || string(text[1:len(text)-1]) != want) {
			t.Errorf("%q is read as %s, want %q (%v)", body, text, want, err)
		}
	}
	if !isTokenInQuotes([]byte(`"aA0-_.b.c"`)) {
		t.Error("a token in quotes is not known as one")
	}
}
