package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"sitegate/configs"
)

const defaultConfig = "/etc/sitegate/sitegate.yaml"

// configFlags adds --config and the flags that override the file.
func (p *program) configFlags(f *pflag.FlagSet) {
	f.String("config", cmp.Or(p.getenv("SITEGATE_CONFIG"), defaultConfig), "the configuration; the environment's SITEGATE_CONFIG sets it, too")
	configs.AddFlags(f)
}

// load loads the configuration that f names. A wrong one ends the program with
// status 64 and all that is wrong.
func (p *program) load(f *pflag.FlagSet) (configs.Config, configs.Origins, error) {
	if err := p.readRemote(f); err != nil {
		return configs.Config{}, nil, err
	}
	return p.loadOrDefault(f)
}

// loadChecked is load, with the files that the configuration names looked into.
func (p *program) loadChecked(f *pflag.FlagSet) (configs.Config, configs.Origins, error) {
	file, _ := f.GetString("config")
	c, origins, err := configs.Load(file, p.getenv, f, p.environ...)
	var problems configs.Problems
	if err != nil && !errors.As(err, &problems) {
		return c, origins, configError(file, err)
	}
	var files configs.Problems
	if errors.As(c.CheckFiles(), &files) {
		problems = append(problems, files...)
	}
	if len(problems) > 0 {
		return c, origins, configError(file, problems)
	}
	return c, origins, nil
}

func configError(file string, err error) error {
	var problems configs.Problems
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &problems):
		return &exitError{exitUsage, err}
	}
	lines := make([]string, len(problems))
	for i, q := range problems {
		lines[i] = "\n  " + q.String()
	}
	what := fmt.Sprintf("%d problems", len(problems))
	if len(problems) == 1 {
		what = "a problem"
	}
	return usagef("the configuration %s has %s:%s", file, what, strings.Join(lines, ""))
}
