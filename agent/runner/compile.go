package runner

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/runner/shim"
	"github.com/sluice-project/sluice/workload"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// compile turns a Spec into what the shim reads.
func (r *Runner) compile(spec Spec) (shim.Spec, error) {
	if spec.ID == "" || spec.ID != filepath.Base(spec.ID) || strings.HasPrefix(spec.ID, ".") {
		return shim.Spec{}, workload.Errorf(workload.Invalid, "run id %q is not a file name", spec.ID)
	}
	if len(spec.Argv) == 0 {
		return shim.Spec{}, workload.Errorf(workload.Invalid, "no command")
	}
	file := shim.Spec{ID: strings.ReplaceAll(r.scope()+"-"+spec.ID, "/", "-"), Argv: spec.Argv, Dir: spec.Dir, Epoch: uint64(spec.Epoch), Deadline: int64(spec.Deadline),
		Signal: int(spec.Signal), Grace: spec.Grace, Contain: r.config.Contain, Progress: spec.Progress, Meta: spec.Meta}
	for _, d := range spec.Devices {
		file.Devices = append(file.Devices, string(d))
	}
	home := os.Getenv("HOME")
	if spec.User != "" {
		account, err := account(spec.User)
		if err != nil {
			return shim.Spec{}, err
		}
		home = account.home
		if int(account.uid) != os.Geteuid() {
			if os.Geteuid() != 0 {
				return shim.Spec{}, workload.Errorf(workload.Denied, "cannot run as %s: the agent is not root", spec.User)
			}
			file.Switch, file.UID, file.GID = true, account.uid, account.gid
		}
	}
	if home == "" {
		home = "/"
	}
	// From empty: nothing of the agent's own environment, such as a token or a
	// loader variable, may reach a workload.
	file.Env = append([]string{"PATH=" + defaultPath, "HOME=" + home}, spec.Env...)
	return file, nil
}

// scope tells the cgroups of two agents on one machine apart.
func (r *Runner) scope() string {
	h := uint32(2166136261)
	for _, c := range []byte(r.config.Root) {
		h = (h ^ uint32(c)) * 16777619
	}
	return strconv.FormatUint(uint64(h), 36)
}

type unixAccount struct {
	uid, gid uint32
	home     string
}

// account resolves a user. Root is refused whatever it is called: no job gets
// it by asking.
func account(name string) (unixAccount, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return unixAccount{}, workload.Errorf(workload.Invalid, "user %q: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return unixAccount{}, workload.Errorf(workload.Invalid, "user %q: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return unixAccount{}, workload.Errorf(workload.Invalid, "user %q: %w", name, err)
	}
	if uid == 0 || gid == 0 {
		return unixAccount{}, workload.Errorf(workload.Denied, "user %q is root", name).Hint("map run.user to an ordinary account")
	}
	return unixAccount{uint32(uid), uint32(gid), u.HomeDir}, nil
}
