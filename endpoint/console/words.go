package console

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"sitegate/phrase"
)

//go:embed words/*.json
var wordFiles embed.FS

// words are the texts of the console, by language and key. Sentences about denials and
// notices come with the API's answers.
var words = sync.OnceValue(func() map[phrase.Lang]map[string]string {
	all := map[phrase.Lang]map[string]string{}
	for _, l := range phrase.Langs() {
		text, err := wordFiles.ReadFile("words/" + l.String() + ".json")
		if err != nil {
			panic(err) // it is embedded
		}
		book := map[string]string{}
		if err := json.Unmarshal(text, &book); err != nil {
			panic(fmt.Errorf("words/%s.json: %w", l, err))
		}
		all[l] = book
	}
	return all
})

// say is a text, {0} and {1} in it what it is said with. One that is missing is its key:
// a test sees to it that none is.
func say(l phrase.Lang, key string, with ...any) string {
	text, ok := words()[l][key]
	if !ok {
		return key
	}
	for i, x := range with {
		text = strings.ReplaceAll(text, fmt.Sprintf("{%d}", i), fmt.Sprint(x))
	}
	return text
}

// has reports whether there is such a text.
func has(key string) bool { return words()[phrase.English][key] != "" }
