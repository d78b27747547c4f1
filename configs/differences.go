package configs

import "reflect"

// Differences are the keys that two configurations have other values of, in the order of
// their documentation. A section that only one of them has is one key.
func Differences(a, b Config) []string {
	return differ(nil, reflect.ValueOf(a), reflect.ValueOf(b), "")
}

func differ(list []string, a, b reflect.Value, key string) []string {
	for _, f := range fieldsOf(a.Type()) {
		x, y, sub := a.Field(f.index), b.Field(f.index), join(key, f.name)
		if !isSection(x.Type()) {
			if !reflect.DeepEqual(x.Interface(), y.Interface()) {
				list = append(list, sub)
			}
			continue
		}
		if x.Kind() == reflect.Pointer {
			if x.IsNil() || y.IsNil() {
				if x.IsNil() != y.IsNil() {
					list = append(list, sub)
				}
				continue
			}
			x, y = x.Elem(), y.Elem()
		}
		list = differ(list, x, y, sub)
	}
	return list
}
