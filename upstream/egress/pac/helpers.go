package pac

import (
	"context"
	"net/netip"
	"strings"

	"github.com/dop251/goja"
)

// helpers gives an engine the functions that PAC files use, and takes away or bounds what makes much of little.
func (s *Script) helpers(e *engine) error {
	vm := e.vm
	text := func(c goja.FunctionCall, i int) string { return limited(vm, c.Argument(i)) }
	set := func(name string, f func(goja.FunctionCall) any) {
		_ = vm.Set(name, func(c goja.FunctionCall) goja.Value { // a new engine takes any name
			return vm.ToValue(f(c))
		})
	}
	set("shExpMatch", func(c goja.FunctionCall) any { return shExpMatch(text(c, 0), text(c, 1)) })
	set("dnsDomainIs", func(c goja.FunctionCall) any { return dnsDomainIs(text(c, 0), text(c, 1)) })
	set("isPlainHostName", func(c goja.FunctionCall) any { return !strings.Contains(text(c, 0), ".") })
	set("localHostOrDomainIs", func(c goja.FunctionCall) any { return localHostOrDomainIs(text(c, 0), text(c, 1)) })
	set("dnsDomainLevels", func(c goja.FunctionCall) any { return strings.Count(text(c, 0), ".") })
	set("isInNet", func(c goja.FunctionCall) any { return isInNet(s.resolve(e, text(c, 0)), text(c, 1), text(c, 2)) })
	set("dnsResolve", func(c goja.FunctionCall) any {
		if a := s.resolve(e, text(c, 0)); a.IsValid() {
			return a.String()
		}
		return goja.Null()
	})
	set("isResolvable", func(c goja.FunctionCall) any { return s.resolve(e, text(c, 0)).IsValid() })
	set("myIpAddress", func(goja.FunctionCall) any { return s.cfg.Own().String() })
	set("alert", func(goja.FunctionCall) any { return goja.Undefined() })
	set("weekdayRange", func(c goja.FunctionCall) any { return weekdayRange(s.cfg.Now(), words(vm, c)) })
	set("dateRange", func(c goja.FunctionCall) any { return dateRange(s.cfg.Now(), words(vm, c)) })
	set("timeRange", func(c goja.FunctionCall) any { return timeRange(s.cfg.Now(), words(vm, c)) })
	return prune(vm)
}

// maxArgument bounds what a helper looks at.
const maxArgument = 64 << 10

// limited is an argument as text. A file that hands over more is stopped by an exception.
func limited(vm *goja.Runtime, v goja.Value) string {
	t := v.ToString()
	if s, ok := t.(goja.String); ok && s.Length() > maxArgument {
		panic(vm.NewTypeError("an argument is too long"))
	}
	return t.String()
}

func words(vm *goja.Runtime, c goja.FunctionCall) []string {
	if len(c.Arguments) > 8 {
		return nil
	}
	list := make([]string, len(c.Arguments))
	for i, a := range c.Arguments {
		list[i] = strings.ToUpper(strings.TrimSpace(limited(vm, a)))
	}
	return list
}

// resolve is the first address of a name, IPv4 before IPv6, as PAC files expect; the zero Addr: there is none.
func (s *Script) resolve(e *engine, name string) netip.Addr {
	if a, err := netip.ParseAddr(name); err == nil {
		return a
	}
	c := e.call.Load()
	if c.lookups++; c.lookups > maxLookups || name == "" || len(name) > 253 {
		return netip.Addr{}
	}
	ctx, cancel := context.WithTimeout(c.ctx, lookupTime)
	defer cancel()
	c.waiting.Store(true)
	defer c.waiting.Store(false)
	addrs, err := s.cfg.Lookup(ctx, name)
	if err != nil || len(addrs) == 0 {
		return netip.Addr{}
	}
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			return a
		}
	}
	return addrs[0]
}

// pruning takes away or bounds what takes much memory in one step, during which nobody can interrupt; and what goes deep in Go's own stack by what a script makes up
// (programs, patterns, nested data), since a stack that is too deep ends the whole node.
var pruning = goja.MustCompile("bounds", `(function (most) {
	"use strict";
	for (const name of ["ArrayBuffer", "SharedArrayBuffer", "DataView", "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array",
		"Int32Array", "Uint32Array", "Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array", "BigInt", "Proxy", "Reflect", "WeakRef",
		"JSON", "eval"])
		delete globalThis[name];
	for (const f of [function () {}, function* () {}, async function () {}, () => {}]) {
		const proto = Object.getPrototypeOf(f);
		Object.defineProperty(proto, "constructor", {value: undefined, writable: false, configurable: false});
	}
	delete globalThis.Function;
	for (const name of ["flat", "flatMap"]) delete Array.prototype[name];
	const bounded = function (object, name, size) {
		const old = object[name];
		if (old === undefined) return;
		Object.defineProperty(object, name, {value: function (...args) {
			if (!(size(this, args) <= most)) throw new RangeError(name + " makes too much");
			return old.apply(this, args);
		}, writable: true, configurable: true, enumerable: false});
	};
	const length = (x) => x === undefined || x === null ? 0 : String(x).length;
	const text = String.prototype, list = Array.prototype;
	bounded(text, "repeat", (s, a) => length(s) * Number(a[0] === undefined ? 0 : a[0]));
	bounded(text, "padStart", (s, a) => Number(a[0] === undefined ? 0 : a[0]) || 0);
	bounded(text, "padEnd", (s, a) => Number(a[0] === undefined ? 0 : a[0]) || 0);
	bounded(text, "replace", (s, a) => length(s) * (1 + (typeof a[1] === "function" ? 0 : length(a[1]))) / 64);
	bounded(text, "replaceAll", (s, a) => length(s) * (1 + (typeof a[1] === "function" ? 0 : length(a[1]))) / 64);
	const pattern = (_, a) => a[0] instanceof RegExp ? 0 : 64 * length(a[0]);
	for (const name of ["match", "matchAll", "search"]) bounded(text, name, pattern);
	const Old = RegExp;
	globalThis.RegExp = function (source, flags) {
		if (!(pattern(null, [source]) <= most)) throw new RangeError("RegExp makes too much");
		return new Old(source, flags);
	};
	RegExp.prototype = Old.prototype;
	Object.defineProperty(Old.prototype, "constructor", {value: RegExp, writable: true, configurable: true, enumerable: false});
	bounded(list, "join", (l, a) => l.length * Math.max(1, a[0] === undefined ? 1 : length(a[0])));
	bounded(list, "fill", (l) => l.length);
	bounded(list, "concat", (l) => l.length);
	bounded(Array, "from", (_, a) => Object(a[0]).length || 0);
})`, true)

// prune bounds an engine. The file is still to come. It fails if it is interrupted.
func prune(vm *goja.Runtime) error {
	f, err := vm.RunProgram(pruning)
	if err != nil {
		return err
	}
	call, _ := goja.AssertFunction(f)
	_, err = call(goja.Undefined(), vm.ToValue(maxArgument))
	return err
}
