package configs

import _ "embed"

// Example is a configuration that shows every key with its default and what it
// is for. Keys after a # without a space are optional.
//
//go:embed sitegate.example.yaml
var Example string

// SingleNode is the shortest configuration of a node that does its job.
//
//go:embed single-node.yaml
var SingleNode string
