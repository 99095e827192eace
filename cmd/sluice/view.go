package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-project/sluice/proto/wire"
)

// viewFlags say how an answer is shown.
type viewFlags struct {
	format    string
	color     string
	utc       bool
	noHeaders bool
	columns   []string
	sort      []string
	watch     bool
}

var formats = []string{"table", "wide", "json", "yaml", "jsonl", "name", "csv"}

// addViewFlags gives a command -o and what belongs to any answer.
func (a *app) addViewFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVarP(&a.view.format, "output", "o", first(a.env("SLUICE_FORMAT"), "table"), strings.Join(formats, "|")+" (SLUICE_FORMAT)")
	f.StringVar(&a.view.color, "color", "auto", "auto|always|never (NO_COLOR)")
	f.StringVar(&a.view.color, "colour", "auto", "the same as --color")
	f.BoolVar(&a.view.utc, "utc", false, "show times in UTC instead of local time")
	_ = f.MarkHidden("colour")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// addListFlags gives a command what belongs to lists.
func (a *app) addListFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&a.view.noHeaders, "no-headers", false, "no heads in tables and CSV")
	f.StringSliceVar(&a.view.columns, "columns", nil, "columns of tables and CSV, by name")
	f.StringSliceVar(&a.view.sort, "sort", nil, "columns to sort by; -name for descending")
}

func (a *app) addWatchFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&a.view.watch, "watch", "w", false, "show again whenever something changes")
}

// operator makes a verb one that talks to a server and shows what it says.
func (a *app) operator(cmd *cobra.Command) *cobra.Command {
	a.addRemoteFlags(cmd)
	a.addViewFlags(cmd)
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return a.checkView() }
	return cmd
}

func (a *app) checkView() error {
	if !slices.Contains(formats, a.view.format) {
		e := usagef("-o %s is not one of %s", a.view.format, strings.Join(formats, ", "))
		if near := nearest(a.view.format, formats); near != "" {
			e.Hint("did you mean -o %s?", near)
		}
		return e
	}
	if c := a.view.color; c != "auto" && c != "always" && c != "never" {
		return usagef("--color %s is not one of auto, always, never", c)
	}
	return nil
}

// forPeople reports whether the answer is text for people.
func (a *app) forPeople() bool { return a.view.format == "table" || a.view.format == "wide" }

// showOne prints one message: as text by show, or in the format asked for.
func showOne[M proto.Message](a *app, m M, name func(M) string, show func(M)) error {
	switch a.view.format {
	case "name":
		fmt.Fprintln(a.out, clean(name(m)))
	case "csv":
		return usagef("-o csv is for lists").Hint("-o json has every field")
	case "table", "wide":
		show(m)
	default:
		return a.showJSON(wire.JSON(m))
	}
	return nil
}

// showJSON prints a value that already is JSON as json, jsonl or yaml.
func (a *app) showJSON(raw []byte) error {
	switch a.view.format {
	case "yaml":
		text, err := yaml.JSONToYAML(raw)
		if err != nil {
			return err
		}
		_, err = a.out.Write(text)
		return err
	case "jsonl":
		_, err := a.out.Write(append(raw, '\n'))
		return err
	default:
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return err
		}
		b.WriteByte('\n')
		_, err := a.out.Write(b.Bytes())
		return err
	}
}
