package provision

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/identity"
)

// Result is what Init has written.
type Result struct {
	// Files in the order they were written, below Options.Dir.
	Files []string
	// Target is the iSCSI name.
	Target string
	// Controllers in the order of Options.Nodes.
	Controllers []Controller
	// Witnesses in the order of Options.Witnesses.
	Witnesses []Witness
	// Commands start the cluster: the witnesses, then each controller.
	Commands []Command
	// Warnings are those of the configurations, each once.
	Warnings []string
}

// Controller is one controller of a Result.
type Controller struct {
	ID     uint8
	Config string
	// Portal is where initiators log in.
	Portal netip.AddrPort
	// Link and Arbiter are where the other members connect to.
	Link, Arbiter netip.AddrPort
	// PIDFile and Socket are "" where the configuration names none.
	PIDFile, Socket string
}

// Witness is a witness of a Result.
type Witness struct {
	Config  string
	Arbiter netip.AddrPort
	// PIDFile is "" where the configuration names none.
	PIDFile string
}

// Command is a command for a machine.
type Command struct {
	// Host is the machine; not valid when it is this one.
	Host netip.Addr
	// Copy brings the member's directory to Host; "" when it is here already.
	Copy string
	// Run starts the member.
	Run string
}

// content is a file to be written.
type content struct {
	path string
	data []byte
	mode fs.FileMode
}

// Init writes a cluster. An error means that nothing is left of it.
func Init(o Options) (*Result, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	p, err := newPlan(o)
	if err != nil {
		return nil, err
	}
	r := p.result()
	dirs, err := p.dirs()
	if err != nil {
		return nil, err
	}
	files, err := p.files(r)
	if err != nil {
		return nil, err
	}
	t := &tree{}
	if err := t.write(o.Dir, dirs, files); err != nil {
		return nil, errors.Join(fmt.Errorf("writing cluster: %w", err), t.remove())
	}
	for _, f := range files {
		r.Files = append(r.Files, f.path)
	}
	return r, nil
}

func (t *tree) write(root string, dirs []string, files []content) error {
	if err := t.parents(root); err != nil {
		return err
	}
	for _, d := range dirs {
		if err := t.dir(d); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := t.file(f.path, f.data, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// dirs are the directories to be made. None may be there.
func (p *plan) dirs() ([]string, error) {
	names := []string{"ca"}
	for _, n := range p.nodes {
		names = append(names, n.Name)
	}
	for _, w := range p.witnesses {
		names = append(names, w.Name)
	}
	if p.Loopback {
		names = append(names, "run")
	}
	dirs := make([]string, len(names))
	for i, name := range names {
		dirs[i] = filepath.Join(p.Dir, name)
		if _, err := os.Lstat(dirs[i]); err == nil {
			return nil, fmt.Errorf("%s is there already: %w and is not overwritten, expected a directory without it", dirs[i], fs.ErrExist)
		}
	}
	return dirs, nil
}

// files makes the contents of all files, and the warnings about them.
func (p *plan) files(r *Result) ([]content, error) {
	ca, err := identity.NewAuthority(p.Cluster)
	if err != nil {
		return nil, err
	}
	caKey, err := ca.Key()
	if err != nil {
		return nil, err
	}
	files := []content{
		{filepath.Join(p.Dir, "ca", "ca.pem"), ca.Certificate(), publicMode},
		{filepath.Join(p.Dir, "ca", "ca.key"), caKey, secretMode},
	}
	for _, n := range p.nodes {
		own, err := p.memberFiles(ca, n, identity.OfNode(p.Cluster, n.ID), "node", "ctl.conf")
		if err != nil {
			return nil, err
		}
		_, found := ctlconf.Parse(own[0].path, own[0].data)
		if err := r.judge(found); err != nil {
			return nil, err
		}
		files = append(files, own...)
	}
	for _, w := range p.witnesses {
		own, err := p.memberFiles(ca, w, identity.OfWitness(p.Cluster, w.Name), "witness", "witness.conf")
		if err != nil {
			return nil, err
		}
		_, found := ctlconf.ParseWitness(own[0].path, own[0].data)
		if err := r.judge(found); err != nil {
			return nil, err
		}
		files = append(files, own...)
	}
	return files, nil
}

// memberFiles makes the files of one member, its configuration first.
func (p *plan) memberFiles(ca *identity.Authority, m place, who identity.Identity, pair, conf string) ([]content, error) {
	text, err := p.config(conf, m)
	if err != nil {
		return nil, err
	}
	cert, key, err := ca.Issue(who, m.Arbiter.Addr())
	if err != nil {
		return nil, err
	}
	return []content{
		{filepath.Join(m.Dir, conf), text, secretMode},
		{filepath.Join(m.Dir, pair+".pem"), cert, publicMode},
		{filepath.Join(m.Dir, pair+".key"), key, secretMode},
		{filepath.Join(m.Dir, "ca.pem"), ca.Certificate(), publicMode},
		{ctlconf.FirstStart(filepath.Join(m.Dir, conf), m.Name), []byte("This member may start without data, once: the file goes with the first start.\n"), secretMode},
	}, nil
}

// judge keeps the warnings about a configuration and fails on its errors. They
// name what the user has given, in the file that would have been written.
func (r *Result) judge(found ctlconf.Diagnostics) error {
	if err := found.Err(); err != nil {
		return fmt.Errorf("the configuration would be refused: %w", err)
	}
	for _, w := range found.Warnings {
		known := false
		for _, old := range r.Warnings {
			known = known || old == w.Message
		}
		if !known {
			r.Warnings = append(r.Warnings, w.Message)
		}
	}
	return nil
}

// result is what will have been written.
func (p *plan) result() *Result {
	r := &Result{Target: p.Target}
	for _, w := range p.witnesses {
		r.Witnesses = append(r.Witnesses, Witness{filepath.Join(w.Dir, "witness.conf"), w.Arbiter, p.pidFile(w)})
		r.Commands = append(r.Commands, p.command(w, "witness", "witness.conf"))
	}
	for _, n := range p.nodes {
		r.Controllers = append(r.Controllers, Controller{
			ID: n.ID, Config: filepath.Join(n.Dir, "ctl.conf"),
			Portal: n.Portal, Link: n.Link, Arbiter: n.Arbiter,
			PIDFile: p.pidFile(n), Socket: n.Socket,
		})
		r.Commands = append(r.Commands, p.command(n, "serve", "ctl.conf"))
	}
	return r
}

// command starts a member: here, or on its own machine where its directory
// becomes /etc/tandem.
func (p *plan) command(m place, verb, conf string) Command {
	if p.Loopback {
		return Command{Run: "tandem " + verb + " -c " + shell(filepath.Join(m.Dir, conf))}
	}
	host := m.Arbiter.Addr()
	to := host.String()
	if host.Is6() {
		to = "[" + to + "]"
	}
	return Command{
		Host: host,
		Copy: "scp -rp " + shell(m.Dir) + "/. " + to + ":/etc/tandem",
		Run:  "tandem " + verb + " -c /etc/tandem/" + conf,
	}
}

// shell quotes a word for a POSIX shell where it needs it.
func shell(s string) string {
	if plain(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
