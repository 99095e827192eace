package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-project/sluice/workload"
)

// verbs lists what `sluice` can do, in the order in which help shows it. A new
// verb is its file and one line here.
var verbs = []func(*app) *cobra.Command{
	statusVerb,
	jobVerb,
	gpuVerb,
	nodeVerb,
	explainVerb,
	policyVerb,
	ledgerVerb,
	tokenVerb,
	devVerb,
	serverVerb,
	agentVerb,
	decideVerb,
	minerVerb,
	practiceVerb,
	versionVerb,
}

// app is what every verb may use of the world around it, so that tests can run
// verbs in process.
type app struct {
	in                    io.Reader
	out, err              io.Writer
	inTTY, outTTY, errTTY bool
	env                   func(string) string
	now                   func() time.Time

	remote remoteFlags
	view   viewFlags
}

func run(args []string, in io.Reader, out, errOut io.Writer) int {
	if len(args) > 1 {
		if f, ok := early[args[1]]; ok {
			return f(args[2:])
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{in: in, out: out, err: errOut, env: os.Getenv, now: time.Now}
	a.inTTY, a.outTTY, a.errTTY = isTerminal(in), isTerminal(out), isTerminal(errOut)
	return a.run(ctx, args[1:])
}

// run executes one command line and returns the exit code of exit.go.
func (a *app) run(ctx context.Context, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && cobraUsage(err) {
		err = usagef("%v", err).Hint("sluice --help")
	}
	if err != nil && ctx.Err() != nil {
		err = &exit{code: exitInterrupted, err: err}
	}
	a.report(err)
	return codeOf(err)
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Direct every GPU and ASIC to whatever pays best: mining, training or rest",
		Long: "Sluice directs the power and silicon of a data centre to whatever pays best,\n" +
			"minute by minute, between cryptocurrency mining and AI training.\n\n" +
			"Servers are found by --addr, SLUICE_ADDR, the context file\n" +
			"$XDG_CONFIG_HOME/sluice/config.yaml, or 127.0.0.1:7070, in this order;\n" +
			"SLUICE_CACERT names the file with the servers' CA, SLUICE_TOKEN or\n" +
			"SLUICE_TOKEN_FILE the token.\n\n" + exitHelp,
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return flagError(cmd, err) })
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	for _, verb := range verbs {
		root.AddCommand(verb(a))
	}
	return root
}

// noun groups verbs: it does nothing by itself, and says which it has.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			return usagef("%s needs one of: %s", cmd.CommandPath(), strings.Join(verbNames(cmd), ", ")).Hint("%s --help", cmd.CommandPath())
		},
	}
	cmd.AddCommand(verbs...)
	return cmd
}

func verbNames(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

func unknownVerb(cmd *cobra.Command, word string) error {
	known := verbNames(cmd)
	for _, c := range cmd.Commands() {
		known = append(known, c.Aliases...)
	}
	e := usagef("unknown verb %q for %q", word, cmd.CommandPath())
	if near := nearest(word, known); near != "" {
		return e.Hint("did you mean %q?", cmd.CommandPath()+" "+near)
	}
	return e.Hint("%s --help lists what there is", cmd.CommandPath())
}

func flagError(cmd *cobra.Command, err error) error {
	e := usagef("%v", err).Hint("%s --help", cmd.CommandPath())
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := nearest(name, known); near != "" {
			return e.Hint("did you mean --%s?", near)
		}
	}
	return e
}

// cobraUsage recognises the usage errors of cobra itself, which have no type;
// its completion command makes them.
func cobraUsage(err error) bool {
	if _, ours := errors.AsType[*exit](err); ours {
		return false
	}
	for _, start := range []string{"unknown command ", "accepts ", "requires at ", "invalid argument ", "required flag"} {
		if strings.HasPrefix(err.Error(), start) {
			return true
		}
	}
	return false
}

// arguments checks the number of arguments and names what is missing.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("%s: %s is missing", cmd.CommandPath(), names[len(args)]).Hint("%s", cmd.UseLine())
		}
		if len(args) > len(names) {
			return usagef("%s: %q is one argument too many", cmd.CommandPath(), args[len(names)]).Hint("%s", cmd.UseLine())
		}
		return nil
	}
}

// nearest returns the known word within two edits, or a third of the word's
// length, of what was typed; "" when none is.
func nearest(word string, known []string) string {
	best, bestAt := "", max(2, len(word)/3)+1
	for _, k := range known {
		if d := edits(strings.ToLower(word), k); d < bestAt && d < len(k) {
			best, bestAt = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance with swaps of neighbours counted once.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

func usagef(format string, args ...any) *exit {
	return &exit{code: exitUsage, err: workload.Errorf(workload.Invalid, format, args...)}
}
