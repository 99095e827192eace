package main

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/workload"
)

const (
	defaultAddr    = "127.0.0.1:7070"
	defaultPort    = "7070"
	defaultTimeout = 10 * time.Second
	maxContextFile = 64 << 10
)

// remoteFlags say how to reach a server. There is no flag for the token itself:
// every user of the machine could read it from the process list.
type remoteFlags struct {
	addr, cacert, tokenFile, context string
	timeout                          time.Duration
}

func (a *app) addRemoteFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&a.remote.addr, "addr", "", "servers, host:port[,host:port...]; tried in turn (SLUICE_ADDR)")
	f.StringVar(&a.remote.cacert, "cacert", "", "file with the servers' CA (SLUICE_CACERT)")
	f.StringVar(&a.remote.tokenFile, "token-file", "", "file with the token (SLUICE_TOKEN_FILE)")
	f.StringVar(&a.remote.context, "context", "", "context of the configuration file (SLUICE_CONTEXT)")
	f.DurationVar(&a.remote.timeout, "timeout", defaultTimeout, "longest wait for one answer")
}

// target is where and as whom to call.
type target struct {
	addrs   []string
	cacert  string // file; empty = the system's authorities
	token   string
	timeout time.Duration
}

// contextFile is $XDG_CONFIG_HOME/sluice/config.yaml.
type contextFile struct {
	Current  string                   `yaml:"current"`
	Contexts map[string]contextValues `yaml:"contexts"`
}

type contextValues struct {
	Addr      string `yaml:"addr"`
	CACert    string `yaml:"cacert"`
	TokenFile string `yaml:"tokenFile"`
}

// resolve merges flags, environment, context file and defaults, in this order.
func (a *app) resolve() (target, error) {
	if a.remote.timeout <= 0 {
		return target{}, usagef("--timeout must be more than 0")
	}
	file, err := a.contextValues()
	if err != nil {
		return target{}, err
	}
	t := target{timeout: a.remote.timeout}
	if t.addrs, err = splitAddrs(first(a.remote.addr, a.env("SLUICE_ADDR"), file.Addr, defaultAddr)); err != nil {
		return target{}, err
	}
	t.cacert = first(a.remote.cacert, a.env("SLUICE_CACERT"), file.CACert)

	tokenFile := first(a.remote.tokenFile, a.env("SLUICE_TOKEN_FILE"), file.TokenFile)
	if token := a.env("SLUICE_TOKEN"); token != "" && a.remote.tokenFile == "" {
		t.token = token
	} else if tokenFile != "" {
		raw, err := os.ReadFile(tokenFile)
		if err != nil {
			return target{}, &exit{exitFailed, workload.Errorf(workload.Invalid, "token file: %w", err)}
		}
		t.token = strings.TrimSpace(string(raw))
	}
	if strings.ContainsFunc(t.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return target{}, usagef("the token contains a character that no token has")
	}
	return t, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func splitAddrs(s string) ([]string, error) {
	var addrs []string
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		host, port, err := net.SplitHostPort(part)
		if err != nil {
			host, port = part, defaultPort
			if strings.HasPrefix(part, "[") && strings.HasSuffix(part, "]") {
				host = part[1 : len(part)-1]
			}
		}
		if !validHost(host) || !validPort(port) {
			return nil, usagef("address %q is not of the form host:port", part)
		}
		addrs = append(addrs, net.JoinHostPort(host, port))
	}
	if len(addrs) == 0 {
		return nil, usagef("no server address is given")
	}
	return addrs, nil
}

// validHost takes a name or an address; only an IPv6 address has colons.
func validHost(s string) bool {
	if strings.Contains(s, ":") {
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("/[]@?#%", r)
	})
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func (a *app) contextValues() (contextValues, error) {
	dir := a.env("XDG_CONFIG_HOME")
	if dir == "" && a.env("HOME") != "" {
		dir = filepath.Join(a.env("HOME"), ".config")
	}
	wanted := first(a.remote.context, a.env("SLUICE_CONTEXT"))
	path := filepath.Join(dir, "sluice", "config.yaml")
	raw, err := os.ReadFile(path)
	switch {
	case dir == "" || errors.Is(err, fs.ErrNotExist):
		if wanted != "" {
			return contextValues{}, usagef("context %q: there is no %s", wanted, path)
		}
		return contextValues{}, nil
	case err != nil:
		return contextValues{}, &exit{exitFailed, err}
	}
	if len(raw) > maxContextFile {
		return contextValues{}, usagef("%s is larger than %d KiB", path, maxContextFile>>10)
	}
	var file contextFile
	if err := yaml.UnmarshalWithOptions(raw, &file, yaml.Strict()); err != nil {
		return contextValues{}, usagef("%s: %s", path, firstLine(err.Error())).Hint("it holds current: NAME and contexts: {NAME: {addr, cacert, tokenFile}}")
	}
	name := first(wanted, file.Current)
	if name == "" {
		return contextValues{}, nil
	}
	values, ok := file.Contexts[name]
	if !ok {
		var known []string
		for k := range file.Contexts {
			known = append(known, k)
		}
		slices.Sort(known)
		return contextValues{}, usagef("%s has no context %q", path, name).Hint("it has: %s", strings.Join(known, ", "))
	}
	return values, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
