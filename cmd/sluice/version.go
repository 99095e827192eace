package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release build; a plain `go build` reads what the
// toolchain stamped instead.
var version string

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func versionVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  arguments(),
		RunE: func(*cobra.Command, []string) error {
			if a.forPeople() {
				fmt.Fprintf(a.out, "sluice %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
				return nil
			}
			if a.view.format == "name" || a.view.format == "csv" {
				return usagef("-o %s is for lists", a.view.format)
			}
			raw, err := json.Marshal(struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH})
			if err != nil {
				return err
			}
			return a.showJSON(raw)
		},
	}
	a.addViewFlags(cmd)
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return a.checkView() }
	return cmd
}
