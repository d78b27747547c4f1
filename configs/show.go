package configs

import (
	"reflect"
)

// Setting is one key with its value as text and where it came from.
type Setting struct {
	Key    string
	Value  string // empty: not set
	Origin Origin
}

// Settings lists everything that is set, in the order of Config; sections that
// are absent are left out. Secrets are files here, and only their names show.
func (c Config) Settings(from Origins) []Setting {
	var list []Setting
	v := reflect.ValueOf(c)
	leaves(v.Type(), v, "", func(key string, _ field, t reflect.Type, v reflect.Value) {
		if !v.IsValid() {
			return
		}
		if isList(t) {
			for i := range v.Len() {
				sub := keyf("%s[%d]", key, i+1)
				list = append(list, Setting{sub, showText(v.Index(i)), from[sub]})
			}
			return
		}
		list = append(list, Setting{key, showText(v), from[key]})
	})
	return list
}
