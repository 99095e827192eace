package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

func clusterVerb(a *app) *cobra.Command {
	return a.operator(noun("cluster", "Look after the servers: members, leadership, freeze, backups",
		clusterStatusVerb(a), clusterMembersVerb(a), clusterTransferVerb(a), clusterRemoveVerb(a), clusterFreezeVerb(a), clusterThawVerb(a), snapshotVerb(a)))
}

func (a *app) members(ctx context.Context) (*sluicev1.GetMembersResponse, error) {
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return callCluster(ctx, c, sluicev1.ClusterClient.GetMembers, &sluicev1.GetMembersRequest{})
}

func clusterStatusVerb(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show who leads, how far each server is and whether decisions are frozen",
		Long:  "Show who leads, how far each server is and whether decisions are frozen.\n\nExits 6 where no server leads.",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.members(cmd.Context())
			if err != nil {
				return err
			}
			err = showOne(a, m, func(m *sluicev1.GetMembersResponse) string { return m.GetCluster() }, func(m *sluicev1.GetMembersResponse) {
				l := &lines{a: a}
				l.add("cluster", "%s  log %d", m.GetCluster(), m.GetCommitIndex())
				if m.GetLeader() == "" {
					l.add("leader", "none, as %s knows", m.GetSelf())
				} else {
					l.add("leader", "%s in term %d", m.GetLeader(), m.GetTerm())
				}
				up, voters := quorum(m)
				l.add("voters", "%d of %d can be reached, %d must agree", up, voters, voters/2+1)
				if m.GetFrozen() {
					l.add("frozen", "by Override/%s: %s", m.GetFrozenBy(), m.GetFrozenBecause())
				}
				l.print()
				fmt.Fprintln(a.out)
				_ = memberList(a).show(a, m.GetMembers())
			})
			if err == nil && m.GetLeader() == "" {
				return &exit{code: exitUnreachable}
			}
			return err
		},
	}
}

// quorum counts the voters that answer and all of them.
func quorum(m *sluicev1.GetMembersResponse) (up, voters int) {
	for _, s := range m.GetMembers() {
		if s.GetVoter() {
			voters++
			if answers(s) {
				up++
			}
		}
	}
	return up, voters
}

func answers(m *sluicev1.Member) bool {
	return m.GetState() != "unreachable" && m.GetState() != "stopped"
}

func clusterMembersVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "members",
		Aliases: []string{"ls", "list"},
		Short:   "List servers: state, vote, version, lag",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.members(cmd.Context())
			if err != nil {
				return err
			}
			return memberList(a).show(a, m.GetMembers())
		},
	}
	a.addListFlags(cmd)
	return cmd
}

func memberList(a *app) list[*sluicev1.Member] {
	type member = *sluicev1.Member
	heard := func(text func(member) string) func(member) string { // what only an answer tells
		return func(m member) string {
			if m.GetState() == "unreachable" {
				return unknown
			}
			return text(m)
		}
	}
	return list[member]{
		noun: "servers",
		name: member.GetId,
		columns: []column[member]{
			{name: "id", head: "ID", cell: member.GetId},
			{name: "state", head: "STATE", cell: member.GetState, colour: func(m member) colour { return useColour(m.GetState()) }},
			{name: "voter", head: "VOTES", cell: func(m member) string { return yesNo(m.GetVoter()) }, raw: func(m member) string { return strconv.FormatBool(m.GetVoter()) }},
			{name: "address", head: "ADDRESS", cell: func(m member) string { return dash(m.GetGrpcAddress()) }, raw: member.GetGrpcAddress},
			{name: "version", head: "VERSION", cell: func(m member) string { return dash(m.GetVersion()) }, raw: member.GetVersion},
			{name: "behind", head: "BEHIND", num: func(m member) int64 { return int64(m.GetBehind()) }, cell: heard(func(m member) string { return strconv.FormatUint(m.GetBehind(), 10) })},
			{name: "applied", head: "APPLIED", wide: true, num: func(m member) int64 { return int64(m.GetAppliedIndex()) }, cell: heard(func(m member) string { return strconv.FormatUint(m.GetAppliedIndex(), 10) })},
			{name: "last", head: "LAST", wide: true, num: func(m member) int64 { return int64(m.GetLastIndex()) }, cell: heard(func(m member) string { return strconv.FormatUint(m.GetLastIndex(), 10) })},
			{name: "term", head: "TERM", wide: true, num: func(m member) int64 { return int64(m.GetTerm()) }, cell: heard(func(m member) string { return strconv.FormatUint(m.GetTerm(), 10) })},
			{name: "raft", head: "RAFT", wide: true, cell: member.GetRaftAddress},
			{name: "clock", head: "CLOCK ms", wide: true, num: member.GetClockMs, cell: heard(func(m member) string { return fmt.Sprintf("%+d", m.GetClockMs()) })},
			{name: "disk", head: "DISK FREE", csv: "disk_free_bytes", wide: true, num: member.GetDiskFree, cell: func(m member) string { return bytesWords(m.GetDiskFree()) }},
		},
	}
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func bytesWords(n int64) string {
	switch {
	case n < 0:
		return unknown
	case n < 10<<30:
		return fmt.Sprintf("%d MiB", n>>20)
	default:
		return fmt.Sprintf("%d GiB", n>>30)
	}
}

func clusterTransferVerb(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "transfer [SERVER]",
		Short: "Hand leadership over, to a server or to the one most up to date",
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments([]string{"SERVER"}[:min(len(args), 1)]...)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := callCluster(cmd.Context(), c, sluicev1.ClusterClient.TransferLeadership, &sluicev1.TransferLeadershipRequest{Server: strings.Join(args, "")})
			if err != nil {
				return err
			}
			return showOne(a, r, (*sluicev1.TransferLeadershipResponse).GetLeader, func(r *sluicev1.TransferLeadershipResponse) {
				if r.GetFrom() == r.GetLeader() {
					fmt.Fprintf(a.out, "%s leads already\n", r.GetLeader())
					return
				}
				fmt.Fprintf(a.out, "%s leads in term %d, handed over by %s in %s\n", r.GetLeader(), r.GetTerm(), r.GetFrom(), span(r.GetMilliseconds()))
			})
		},
	}
}

func clusterRemoveVerb(a *app) *cobra.Command {
	var yes, force bool
	cmd := &cobra.Command{
		Use:   "remove SERVER",
		Short: "Take a server out of the group for good",
		Long: "Take a server out of the group for good: one that is lost, or that lost its disk.\n" +
			"To come back it must join with an empty data directory. The leader is not removed:\n" +
			"transfer leadership first. Refused while fewer of the servers that stay can be\n" +
			"reached than must agree on anything.",
		Args: arguments("SERVER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				if err := a.confirm(cmd.Context(), fmt.Sprintf("Remove server %s from the group?", clean(args[0]))); err != nil {
					return err
				}
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := callCluster(cmd.Context(), c, sluicev1.ClusterClient.RemoveServer, &sluicev1.RemoveServerRequest{Server: args[0], Force: force})
			if err != nil {
				return err
			}
			return showOne(a, r, (*sluicev1.RemoveServerResponse).GetServer, func(r *sluicev1.RemoveServerResponse) {
				fmt.Fprintf(a.out, "removed %s; the group is %s\n", r.GetServer(), strings.Join(r.GetMembers(), ", "))
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&force, "force", false, "also where too few of the others can be reached")
	return cmd
}

// freezeName is the Override that freeze writes and thaw takes away.
const freezeName = "cluster-freeze"

func clusterFreezeVerb(a *app) *cobra.Command {
	var o applyOptions
	var reason string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "freeze --reason TEXT",
		Short: "Stop new decisions: what runs goes on, nothing is moved or started",
		Long: "Stop new decisions: what runs goes on, nothing is moved, stopped or started.\n" +
			"Agents keep bans, caps and thermal limits by themselves. It is a policy document,\n" +
			"Override/" + freezeName + "; without --for it holds until thaw.",
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if reason == "" {
				return usagef("%s: --reason is missing", cmd.CommandPath()).Hint("who reads it later wants to know why")
			}
			doc := fmt.Sprintf("kind: Override\nname: %s\nfreeze: true\nreason: %s\n", freezeName, strconv.Quote(reason))
			if life > 0 {
				doc += "until: " + a.now().Add(life).UTC().Format(time.RFC3339) + "\n"
			}
			o.yes, o.comment = true, cmp.Or(o.comment, reason)
			return a.apply(cmd.Context(), edit{file: "freeze", document: doc}, o, "")
		},
	}
	cmd.Flags().StringVarP(&reason, "reason", "r", "", "why, for everybody who looks")
	cmd.Flags().DurationVar(&life, "for", 0, "how long; without it until thaw")
	return cmd
}

func clusterThawVerb(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "thaw",
		Short: "Decide again after a freeze",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.members(cmd.Context())
			if err != nil {
				return err
			}
			if !m.GetFrozen() {
				return workload.Errorf(workload.NotFound, "the cluster is not frozen").Hint("sluice cluster status")
			}
			return a.apply(cmd.Context(), edit{delete: []string{"Override/" + m.GetFrozenBy()}}, applyOptions{yes: true, comment: "thaw"}, "")
		},
	}
}
