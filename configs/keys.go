package configs

import (
	"reflect"
	"strings"
)

// The key tags of Config's fields are the one list of keys: the file, the
// environment, the messages and Settings all go by them.

// field is one key of a section.
type field struct {
	name  string
	path  bool // a file's path, which may be relative
	index int
}

func fieldsOf(t reflect.Type) []field {
	fields := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("key"), ",")
		fields = append(fields, field{name: name, path: option == "path", index: i})
	}
	return fields
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// isSection reports whether t has keys of its own.
func isSection(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && t != prefixType
}

// isList reports whether t is a list of sections, which only a file can set.
func isList(t reflect.Type) bool { return t.Kind() == reflect.Slice && isSection(t.Elem()) }

// section is the struct of an optional or fixed section, made with its defaults
// if it is not there yet.
func section(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
		if d, ok := v.Interface().(interface{ defaults() }); ok {
			d.defaults()
		}
	}
	return v.Elem()
}

// leaves calls f for every key that holds a value or a list, absent sections
// included: v is invalid there, and t is the type it would have.
func leaves(t reflect.Type, v reflect.Value, prefix string, f func(key string, fd field, t reflect.Type, v reflect.Value)) {
	for _, fd := range fieldsOf(t) {
		key, ft := join(prefix, fd.name), t.Field(fd.index).Type
		var fv reflect.Value
		if v.IsValid() {
			fv = v.Field(fd.index)
		}
		if !isSection(ft) {
			f(key, fd, ft, fv)
			continue
		}
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
			if fv.IsValid() {
				fv = fv.Elem() // invalid if nil
			}
		}
		leaves(ft, fv, key, f)
	}
}

// at is the settable place of a key, with the sections on the way made.
func at(v reflect.Value, key string) reflect.Value {
	name, rest, deeper := strings.Cut(key, ".")
	for _, fd := range fieldsOf(v.Type()) {
		if fd.name != name {
			continue
		}
		if deeper {
			return at(section(v.Field(fd.index)), rest)
		}
		return v.Field(fd.index)
	}
	return reflect.Value{}
}
