package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	prefixType   = reflect.TypeFor[netip.Prefix]()
	durationType = reflect.TypeFor[time.Duration]()
)

// setText sets a place from the text of one value. Lists are separated by commas; [] is an empty one.
func setText(v reflect.Value, text string) error {
	switch {
	case v.Type() == durationType:
		d, err := ParseDuration(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
		return nil
	case v.Type() == prefixType:
		p, err := parsePrefix(text)
		if err != nil {
			return err
		}
		v.Set(reflect.ValueOf(p))
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if err := setText(p.Elem(), text); err != nil {
			return err
		}
		v.Set(p)
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(n)
	case reflect.Slice:
		list := reflect.MakeSlice(v.Type(), 0, 4)
		if text == "[]" { // as in the file: an empty variable is one that is not set
			v.Set(list)
			break
		}
		for part := range strings.SplitSeq(text, ",") {
			item := reflect.New(v.Type().Elem()).Elem()
			if err := setText(item, strings.TrimSpace(part)); err != nil {
				return err
			}
			list = reflect.Append(list, item)
		}
		v.Set(list)
	default:
		return fmt.Errorf("cannot be set from text (%s)", v.Type())
	}
	return nil
}

var days = regexp.MustCompile(`^(\d{1,5})d(.*)$`)

// ParseDuration reads what operators write: 180s, 15m, 72h, 30d, 1d12h. A bare
// number is refused, because it says no unit.
func ParseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration such as 180s, 15m, 72h or 30d", text)
	var whole time.Duration
	rest := text
	if m := days.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		if n > 36500 {
			return 0, bad
		}
		whole, rest = time.Duration(n)*24*time.Hour, m[2]
		if rest == "" {
			return whole, nil
		}
		if rest[0] == '-' || rest[0] == '+' {
			return 0, bad
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || strings.IndexFunc(text, func(r rune) bool { return r >= 'a' && r <= 'z' }) < 0 {
		return 0, bad
	}
	return whole + d, nil
}

// formatDuration is the shortest that ParseDuration reads back.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func parsePrefix(text string) (netip.Prefix, error) {
	bad := fmt.Errorf("%q is not a network such as 10.20.0.0/16, nor an address", text)
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, bad
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits behind its mask; write %s, or one address without a mask", text, p.Masked())
	}
	return p, nil
}

// showText is a value as an operator would write it, without what may be secret.
func showText(v reflect.Value) string {
	if !v.IsValid() {
		return ""
	}
	if v.Type() == durationType {
		return formatDuration(time.Duration(v.Int()))
	}
	if p, ok := v.Interface().(netip.Prefix); ok {
		return p.String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return showText(v.Elem())
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = showText(v.Index(i))
		}
		return strings.Join(parts, ", ")
	case reflect.Struct:
		var parts []string
		for _, fd := range fieldsOf(v.Type()) {
			if s := showText(v.Field(fd.index)); s != "" {
				parts = append(parts, fd.name+"="+s)
			}
		}
		return strings.Join(parts, " ")
	}
	return mask(fmt.Sprint(v.Interface()))
}

var (
	userinfo    = regexp.MustCompile(`//[^/@\s]*@`)
	credentials = regexp.MustCompile(`[^/@\s]*:[^/@\s]*@`)
)

// mask hides what stands before an @ with a colon in it, or in a URL's place for
// credentials. Validate refuses both, but must not repeat them.
func mask(s string) string {
	return credentials.ReplaceAllString(userinfo.ReplaceAllString(s, "//***@"), "***@")
}

var errNoValue = errors.New("has no value; give it one, or take the key out to use the default")
