package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler"
	"github.com/sluice-project/sluice/scheduler/backup"
	"github.com/sluice-project/sluice/workload"
)

func snapshotVerb(a *app) *cobra.Command {
	return noun("snapshot", "Save, look into and restore backups of the cluster's state", snapshotSaveVerb(a), snapshotInspectVerb(a), snapshotRestoreVerb(a))
}

func snapshotSaveVerb(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "save FILE",
		Short: "Save all that the leader has acknowledged until now",
		Long: "Save all that the leader has acknowledged until now. The file holds no secret in\n" +
			"clear, but every job and who submitted it. Keep a copy of the authority, the ca\n" +
			"directory of a server, beside it: without it every node has to be enrolled anew.",
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.snapshotSave(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.snapshotShow(args[0])
		},
	}
}

// snapshotSave writes beside the file and renames, so that under the name there
// is never half a backup, nor does a failure cost an older one.
func (a *app) snapshotSave(ctx context.Context, file string) (err error) {
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	defer temp.Close()
	err = c.each(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		if _, err := temp.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := temp.Truncate(0); err != nil {
			return err
		}
		stream, err := sluicev1.NewClusterClient(conn).SaveSnapshot(ctx, &sluicev1.SaveSnapshotRequest{})
		for err == nil {
			var m *sluicev1.SaveSnapshotResponse
			if m, err = stream.Recv(); err == nil {
				_, err = temp.Write(m.GetData())
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if _, err := backup.Open(temp.Name()); err != nil { // read back what will be relied upon
		return err
	}
	return os.Rename(temp.Name(), file)
}

func snapshotInspectVerb(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE",
		Short: "Check a backup and show what it holds; needs no server",
		Args:  arguments("FILE"),
		RunE:  func(_ *cobra.Command, args []string) error { return a.snapshotShow(args[0]) },
	}
}

func (a *app) snapshotShow(file string) error {
	f, err := backup.Open(file)
	if err != nil {
		return err
	}
	c := f.State.Census()
	m := &sluicev1.SnapshotInfo{File: file, Size: f.Size, Sha256: f.SHA256, Cluster: f.Cluster, Server: f.Server, Version: f.Version, Index: f.Index, Term: f.Term,
		WallMs: int64(f.Wall), Stale: f.Stale, HistoryIndex: f.History.Index, HistoryHash: f.History.Hash.String(), Nodes: int64(c.Nodes), Devices: int64(c.Devices),
		Servers: int64(c.Servers), Documents: int64(c.Documents), Jobs: map[string]int64{}}
	for phase, n := range c.Jobs {
		m.Jobs[string(phase)] = int64(n)
	}
	return showOne(a, m, (*sluicev1.SnapshotInfo).GetFile, func(m *sluicev1.SnapshotInfo) {
		l := &lines{a: a}
		l.add("file", "%s  %d bytes, whole", m.GetFile(), m.GetSize())
		l.add("sha256", "%s", m.GetSha256())
		l.add("cluster", "%s, by %s %s", m.GetCluster(), m.GetServer(), m.GetVersion())
		l.add("taken", "%s at log index %d in term %d", a.at(m.GetWallMs()), m.GetIndex(), m.GetTerm())
		if m.GetStale() {
			l.add("warning", "no server led: what others had acknowledged may be missing")
		}
		l.add("history", "up to entry %d, %s", m.GetHistoryIndex(), m.GetHistoryHash())
		l.add("fleet", "%s, %s", count(m.GetNodes(), "node"), count(m.GetDevices(), "device"))
		l.add("jobs", "%s", jobWords(m.GetJobs()))
		l.add("policy", "%s", count(m.GetDocuments(), "document"))
		l.print()
	})
}

func jobWords(jobs map[string]int64) string {
	var words []string
	for phase, n := range jobs {
		words = append(words, fmt.Sprintf("%d %s", n, phase))
	}
	slices.Sort(words)
	return dash(strings.Join(words, ", "))
}

func snapshotRestoreVerb(a *app) *cobra.Command {
	var o scheduler.Restore
	cmd := &cobra.Command{
		Use:   "restore FILE --data-dir DIR",
		Short: "Make the data directory of a lone server that begins a new cluster",
		Long: "Make, from a backup and without any server, the data directory of a lone server.\n" +
			"Its next start begins a new cluster of one; others then join it empty. The old\n" +
			"servers must never run again.\n\n" +
			"The cluster starts frozen: every node is unknown until it registers, what runs is\n" +
			"stopped and jobs queue again. Thaw it when the nodes are back, or when the longest\n" +
			"lease of a job has passed. What came after the backup is lost; job ids go on far\n" +
			"beyond the last one. Put the old cluster's ca directory into DIR first, or every\n" +
			"node has to be enrolled anew.",
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Dir == "" {
				return usagef("%s: --data-dir is missing", cmd.CommandPath()).Hint("%s", cmd.UseLine())
			}
			f, err := backup.Open(args[0])
			if err != nil {
				return err
			}
			if !workload.ValidName(o.ID) {
				return usagef("--id %q is not a name of a-z, 0-9 and hyphen", o.ID)
			}
			o.Etcd.Password = a.env("SLUICE_ETCD_PASSWORD")
			r, err := o.Restore(cmd.Context(), f)
			if err != nil {
				return err
			}
			m := &sluicev1.SnapshotRestored{Directory: o.Dir, Server: o.ID, From: f.Index, Index: r.Index, Documents: int64(r.Documents)}
			return showOne(a, m, (*sluicev1.SnapshotRestored).GetDirectory, func(m *sluicev1.SnapshotRestored) {
				fmt.Fprintf(a.out, "restored entry %d into %s, as entry %d of a new cluster; %s written to etcd\n", m.GetFrom(), m.GetDirectory(), m.GetIndex(), count(m.GetDocuments(), "document"))
				next := "sluice server --id " + o.ID + " --data-dir " + o.Dir
				if _, err := os.Stat(filepath.Join(o.Dir, "ca")); err != nil {
					next += " --bootstrap   (makes a new authority: enrol every node anew; or copy the old one to " + filepath.Join(o.Dir, "ca") + ")"
				}
				fmt.Fprintf(a.out, "next: %s\nthen: sluice cluster thaw, when the nodes are back\n", next)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.ID, "id", "s1", "name of the server")
	f.StringVar(&o.Dir, "data-dir", "", "data directory to make; nothing but ca may be in it")
	f.StringVar(&o.Raft, "raft", "127.0.0.1:7071", "address by which other servers will reach its Raft")
	f.StringSliceVar(&o.Etcd.Endpoints, "etcd-endpoints", nil, "etcd that the server will use; default the embedded one")
	f.StringVar(&o.Etcd.CACert, "etcd-cacert", "", "CA certificate of etcd")
	f.StringVar(&o.Etcd.Cert, "etcd-cert", "", "client certificate for etcd")
	f.StringVar(&o.Etcd.Key, "etcd-key", "", "key of the client certificate for etcd")
	f.StringVar(&o.Etcd.Username, "etcd-username", "", "user of etcd; the password comes from SLUICE_ETCD_PASSWORD")
	return cmd
}
