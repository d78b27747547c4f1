package configs

import (
	"reflect"
	"slices"
	"strings"
)

const prefix = "SITEGATE_"

// others are variables that are no keys: of sitegate's and seat's own flags, and
// of the tests.
var others = []string{"SITEGATE_CONFIG", "SITEGATE_GATEWAY", "SITEGATE_CA", "SITEGATE_TOKEN_FILE", "SITEGATE_JOIN_TOKEN", "SITEGATE_HISTORIES"}

// environment refuses variables that are nearly those of keys. Others are left
// alone, however they begin: an orchestrator makes some from the names of its
// services.
func (d *decoder) environment(environ []string) {
	keys := map[string]string{} // by what follows the prefix, in lower case
	leaves(reflect.TypeFor[Config](), reflect.Value{}, "", func(key string, _ field, _ reflect.Type, _ reflect.Value) {
		keys[strings.ToLower(strings.TrimPrefix(EnvironmentOf(key), prefix))] = key
	})
	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" || !strings.HasPrefix(name, prefix) || slices.Contains(others, name) {
			continue
		}
		rest := strings.TrimPrefix(name, prefix)
		key, known := keys[strings.ToLower(rest)]
		if known && name == EnvironmentOf(key) {
			continue
		}
		near := strings.ToLower(rest)
		if !known {
			near = slip(near, names)
		}
		if near != "" {
			d.problems = append(d.problems, Problem{Where: "environment " + name,
				Text: "there is no such variable; did you mean " + EnvironmentOf(keys[near]) + "?"})
		}
	}
}

// slip is the one of names that name is a slip of the keyboard away from, or "":
// nearer than Nearest asks for, because here a guess refuses what may be somebody
// else's.
func slip(name string, names []string) string {
	near := Nearest(name, names)
	most := 2
	if len(name) <= 5 {
		most = 1
	}
	if near == "" || distance(name, near) > most {
		return ""
	}
	return near
}
