package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// shells are those that completion is for, with where its output goes.
var shells = [][2]string{
	{"bash", "seat completion bash >~/.local/share/bash-completion/completions/seat"},
	{"zsh", "seat completion zsh >\"${fpath[1]}/_seat\""},
	{"fish", "seat completion fish >~/.config/fish/completions/seat.fish"},
	{"powershell", "seat completion powershell >>$PROFILE"},
}

// choices are what a flag takes.
var choices = map[string][]string{"lang": {"en", "fr", "de"}, "keyring": {"auto", "on", "off"}, "notify": {"auto", "off"}, "machine-key": {"auto", "tpm", "file"}}

// completion prints a shell's script, from the same table as the help.
func completion(_ context.Context, s *seat, _ *options, args []string) error {
	scripts := map[string]func() string{"bash": bash, "zsh": zsh, "fish": fish, "powershell": powershell}
	if len(args) != 1 || scripts[args[0]] == nil {
		return usagef("for which shell? Write: seat completion bash, zsh, fish or powershell")
	}
	_, err := fmt.Fprint(s.stdout, scripts[args[0]]())
	return err
}

// completable is a command with all its flags.
type completable struct {
	command
	all []*pflag.Flag
}

func completables() []completable {
	var list []completable
	for _, c := range commands() {
		x := completable{command: c}
		add := func(f *pflag.Flag) { x.all = append(x.all, f) }
		own(c).VisitAll(add)
		shared().VisitAll(add)
		list = append(list, x)
	}
	return list
}

// isFile reports whether a flag's value is a file; takes, whether it has one at all.
func isFile(f *pflag.Flag) bool {
	arg, _ := pflag.UnquoteUsage(f)
	return arg == "FILE"
}

func takes(f *pflag.Flag) bool { return f.NoOptDefVal == "" }

// names are --a --b.
func names(fs []*pflag.Flag) string {
	var all []string
	for _, f := range fs {
		all = append(all, "--"+f.Name)
	}
	return strings.Join(all, " ")
}

// valued are patterns of the flags that have a value: --a|--b.
func valued(want func(*pflag.Flag) bool) string {
	var all []string
	for _, c := range completables() {
		for _, f := range c.all {
			if n := "--" + f.Name; takes(f) && want(f) && !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return strings.Join(all, "|")
}

func isChoice(f *pflag.Flag) bool { return choices[f.Name] != nil }

func bash() string {
	var b strings.Builder
	var words []string
	for _, c := range completables() {
		words = append(words, c.name)
	}
	b.WriteString("# bash completion for seat\n_seat() {\n  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= i skip=\n")
	fmt.Fprintf(&b, "  for ((i = 1; i < COMP_CWORD; i++)); do\n    if [ -n \"$skip\" ]; then skip=; continue; fi\n    case ${COMP_WORDS[i]} in\n      --) COMPREPLY=($(compgen -f -c -- \"$cur\")); return ;;\n      %s) skip=1 ;;\n      -*) ;;\n      *) if [ -z \"$cmd\" ]; then cmd=${COMP_WORDS[i]}; elif [ $cmd = run ]; then COMPREPLY=($(compgen -f -- \"$cur\")); return; fi ;;\n    esac\n  done\n",
		valued(func(*pflag.Flag) bool { return true }))
	b.WriteString("  case $prev in\n")
	for _, name := range []string{"lang", "keyring", "notify", "machine-key"} {
		fmt.Fprintf(&b, "    --%s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n", name, strings.Join(choices[name], " "))
	}
	fmt.Fprintf(&b, "    %s) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", valued(isFile))
	fmt.Fprintf(&b, "    %s) return ;;\n  esac\n", valued(func(f *pflag.Flag) bool { return !isFile(f) && !isChoice(f) }))
	b.WriteString("  case $cmd in\n")
	fmt.Fprintf(&b, "    '') COMPREPLY=($(compgen -W \"%s help %s\" -- \"$cur\")) ;;\n", strings.Join(words, " "), names(flagsOf(shared())))
	for _, c := range completables() {
		more := ""
		if c.name == "completion" {
			more = " bash zsh fish powershell"
		}
		fmt.Fprintf(&b, "    %s) COMPREPLY=($(compgen -W \"%s%s\" -- \"$cur\")) ;;\n", c.name, names(c.all), more)
	}
	fmt.Fprintf(&b, "    help) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")) ;;\n  esac\n}\ncomplete -o filenames -F _seat seat\n", strings.Join(words, " "))
	return b.String()
}

func flagsOf(fs *pflag.FlagSet) (all []*pflag.Flag) {
	fs.VisitAll(func(f *pflag.Flag) { all = append(all, f) })
	return all
}

func zsh() string {
	quote := strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`, ":", `\:`).Replace
	var b strings.Builder
	b.WriteString("#compdef seat\n_seat() {\n  local -a commands\n  commands=(\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "    '%s:%s'\n", c.name, strings.ReplaceAll(strings.ReplaceAll(c.brief, "'", `'\''`), ":", `\:`))
	}
	b.WriteString("  )\n  local cmd=${words[(r)(")
	for i, c := range commands() {
		if i > 0 {
			b.WriteString("|")
		}
		b.WriteString(c.name)
	}
	b.WriteString(")]}\n  case $cmd in\n")
	spec := func(f *pflag.Flag) string {
		arg, usage := pflag.UnquoteUsage(f)
		s := "'--" + f.Name + "[" + quote(usage) + "]"
		switch {
		case !takes(f):
		case isFile(f):
			s += ":file:_files"
		case isChoice(f):
			s += ":value:(" + strings.Join(choices[f.Name], " ") + ")"
		default:
			s += ":" + quote(arg) + ":"
		}
		return s + "'"
	}
	for _, c := range completables() {
		fmt.Fprintf(&b, "    %s)\n      _arguments", c.name)
		for _, f := range c.all {
			fmt.Fprintf(&b, " \\\n        %s", spec(f))
		}
		switch c.name {
		case "run":
			b.WriteString(" \\\n        '*::program:_normal'")
		case "completion":
			b.WriteString(" \\\n        '*:shell:(bash zsh fish powershell)'")
		}
		b.WriteString("\n      ;;\n")
	}
	b.WriteString("    *)\n      _describe command commands\n      ;;\n  esac\n}\n_seat \"$@\"\n")
	return b.String()
}

func fish() string {
	quote := strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace
	var b strings.Builder
	b.WriteString("# fish completion for seat\ncomplete -c seat -f\n")
	flag := func(cond string, f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(&b, "complete -c seat%s -l %s -d '%s'", cond, f.Name, quote(usage))
		switch {
		case !takes(f):
		case isFile(f):
			b.WriteString(" -rF")
		case isChoice(f):
			fmt.Fprintf(&b, " -xa '%s'", strings.Join(choices[f.Name], " "))
		default:
			b.WriteString(" -x")
		}
		b.WriteString("\n")
	}
	for _, f := range flagsOf(shared()) {
		flag("", f)
	}
	for _, c := range commands() {
		fmt.Fprintf(&b, "complete -c seat -n __fish_use_subcommand -a %s -d '%s'\n", c.name, quote(c.brief))
		for _, f := range flagsOf(own(c)) {
			flag(" -n '__fish_seen_subcommand_from "+c.name+"'", f)
		}
	}
	b.WriteString("complete -c seat -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish powershell'\n")
	return b.String()
}

func powershell() string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	var b strings.Builder
	b.WriteString("# PowerShell completion for seat\nRegister-ArgumentCompleter -Native -CommandName seat, seat.exe -ScriptBlock {\n  param($word, $ast, $position)\n  $commands = [ordered]@{\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "    %s = %s\n", quote(c.name), quote(c.brief))
	}
	b.WriteString("  }\n  $flags = @{\n")
	for _, c := range completables() {
		var all []string
		for _, f := range c.all {
			all = append(all, quote("--"+f.Name))
		}
		fmt.Fprintf(&b, "    %s = @(%s)\n", quote(c.name), strings.Join(all, ", "))
	}
	b.WriteString("  }\n  $values = @{\n")
	for _, name := range []string{"lang", "keyring", "notify", "machine-key"} {
		var all []string
		for _, v := range choices[name] {
			all = append(all, quote(v))
		}
		fmt.Fprintf(&b, "    %s = @(%s)\n", quote("--"+name), strings.Join(all, ", "))
	}
	b.WriteString(`  }
  $said = @($ast.CommandElements | ForEach-Object { $_.ToString() } | Select-Object -Skip 1)
  $before = @($said | Where-Object { $_ -ne $word })
  $last = if ($before.Count) { $before[-1] } else { '' }
  $command = $before | Where-Object { $commands.Contains($_) } | Select-Object -First 1
  if ($values.ContainsKey($last)) { $offer = $values[$last] }
  elseif ($command -eq 'completion') { $offer = 'bash', 'zsh', 'fish', 'powershell' }
  elseif ($command) { $offer = $flags[$command] }
  else { $offer = $commands.Keys }
  $offer | Where-Object { $_ -like "$word*" } | ForEach-Object {
    $tip = if ($commands.Contains($_)) { $commands[$_] } else { $_ }
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $tip)
  }
}
`)
	return b.String()
}
