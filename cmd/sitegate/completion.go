package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

const completionHelp = `
Usage: sitegate completion bash|zsh|fish

Prints what has a shell complete sitegate's commands and flags.

Examples:
  sitegate completion bash > /usr/share/bash-completion/completions/sitegate
  sitegate completion zsh > "${fpath[1]}/_sitegate"
  sitegate completion fish > ~/.config/fish/completions/sitegate.fish
`

// completions are scripts that ask sitegate itself, so that they stay as they are.
var completions = map[string]string{
	"bash": `# bash completion for sitegate
_sitegate() {
  local IFS=$'\n'
  COMPREPLY=($(sitegate completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o filenames -F _sitegate sitegate
`,
	"zsh": `#compdef sitegate
_sitegate() {
  local -a found
  found=("${(@f)$(sitegate completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null | sed 's/:/\\:/g; s/\t/:/')}")
  if [[ -n $found[1] ]]; then _describe sitegate found; else _files; fi
}
_sitegate "$@"
`,
	"fish": `# fish completion for sitegate
complete -c sitegate -a '(sitegate completion words -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
}

func completion(ctx context.Context, p *program, args []string) error {
	f := p.flags("completion", completionHelp)
	words, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(words) > 0 && words[0] == "words" {
		for _, x := range completed(stops(ctx), words[1:]) {
			fmt.Fprintf(p.stdout, "%s\t%s\n", x[0], x[1])
		}
		return nil
	}
	if len(words) != 1 || completions[words[0]] == "" {
		return usagef("completion: for which shell? Write: sitegate completion bash, zsh or fish")
	}
	_, err = fmt.Fprint(p.stdout, completions[words[0]])
	return err
}

// completed are the words that the last of words may become, with what each means.
func completed(all []stop, words []string) (found [][2]string) {
	if len(words) == 0 {
		words = []string{""}
	}
	said, last := words[:len(words)-1], words[len(words)-1]
	find := func(name string) int { return slices.IndexFunc(all, func(s stop) bool { return s.name == name }) }
	at, value := all[0], false
	flags := func() *pflag.FlagSet {
		if at.lists {
			return all[find(at.name+" list")].flags
		}
		return at.flags
	}
	for _, w := range said {
		name, _, whole := strings.Cut(w, "=")
		switch i := find(strings.TrimSpace(at.name + " " + w)); {
		case w == "=": // bash makes three words of --flag=value
			value = true
		case value:
			value = false
		case strings.HasPrefix(w, "-"):
			if fs := flags(); fs != nil {
				f := fs.Lookup(strings.TrimLeft(name, "-"))
				value = f != nil && f.NoOptDefVal == "" && !whole
			}
		case at.table != nil && i >= 0:
			at = all[i]
		}
	}
	if value {
		return nil // the shell offers files
	}
	add := func(word, means string) {
		if strings.HasPrefix(word, last) {
			found = append(found, [2]string{word, means})
		}
	}
	for _, c := range at.table {
		add(c.name, c.brief)
	}
	switch {
	case at.name == "completion":
		for _, shell := range []string{"bash", "zsh", "fish"} {
			add(shell, "")
		}
	case flags() != nil && strings.HasPrefix(last, "-"):
		flags().VisitAll(func(f *pflag.Flag) { add("--"+f.Name, f.Usage) })
	case at.table != nil:
		add("help", "show the help of a command")
	}
	return found
}
