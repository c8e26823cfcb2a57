package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/tandem-san/tandem/api"
	"github.com/tandem-san/tandem/provision"
)

// The disk of the demonstration.
const (
	lunName  = "data"
	diskSize = 64 << 20 // bytes
)

// How long things may take.
const (
	readyTime = 20 * time.Second // from the start until both controllers serve
	askTime   = time.Second      // for a controller to say how it stands
	pollTime  = 50 * time.Millisecond
	leaveTime = 3 * time.Second // for a process to end after SIGTERM
)

// cluster is a witness and two controllers, as processes, and a directory for
// all they need.
type cluster struct {
	dir         string
	setup       *provision.Result
	witness     *process
	controllers []*controller
	link        []*relay // where each controller dials the other; only to be cut
}

// controller is one of the two.
type controller struct {
	*process
	id     int
	portal string
	admin  *api.Client
}

// newCluster writes a cluster into a new directory below o.Dir.
func newCluster(o Options) (*cluster, error) {
	word, err := o.modeWord()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, "tandem-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the demonstration: %w", err)
	}
	c := &cluster{dir: dir}
	c.setup, err = provision.Init(provision.Options{
		Dir:      filepath.Join(dir, "c"),
		Cluster:  "demo",
		Mode:     word,
		Loopback: true,
		LUNs:     []provision.LUN{{Name: lunName, Path: filepath.Join(dir, "disk.img"), Size: diskSize}},
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c.witness = &process{name: "witness", path: o.Binary, args: []string{"witness", "-c", c.setup.Witnesses[0].Config}}
	if o.Fault == CutLink {
		if err := c.relayLink(); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	for _, s := range c.setup.Controllers {
		c.controllers = append(c.controllers, &controller{
			process: &process{name: "controller " + strconv.Itoa(int(s.ID)), path: o.Binary, args: []string{"serve", "-c", s.Config}},
			id:      int(s.ID),
			portal:  s.Portal.String(),
			admin:   api.NewClient(s.Socket),
		})
	}
	return c, nil
}

// start starts all three and waits until the disk is served, the link is up
// and the arbiter can be asked.
func (c *cluster) start(ctx context.Context) error {
	for _, p := range c.processes() {
		if err := p.start(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	var last view
	for {
		for _, p := range c.processes() {
			if p.ended() {
				return p.failure()
			}
		}
		if last = c.look(ctx); last.ready() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster is not ready: %w: %v", context.Cause(ctx), last)
		case <-time.After(pollTime):
		}
	}
}

// relayLink has the controllers reach each other through relays, which can be
// cut.
func (c *cluster) relayLink() error {
	for i, s := range c.setup.Controllers {
		peer := c.setup.Controllers[1-i].Link.String()
		r, err := newRelay(peer)
		if err != nil {
			return err
		}
		c.link = append(c.link, r)
		text, err := os.ReadFile(s.Config)
		if err != nil {
			return fmt.Errorf("relay the link: %w", err)
		}
		text = bytes.Replace(text, []byte(" "+peer+"\n"), []byte(" "+r.address()+"\n"), 1)
		if err := os.WriteFile(s.Config, text, 0o600); err != nil {
			return fmt.Errorf("relay the link: %w", err)
		}
	}
	return nil
}

// cutLink makes the link silent, or whole again.
func (c *cluster) cutLink(silent bool) {
	for _, r := range c.link {
		r.cut(silent)
	}
}

// member finds the process of a member of the arbiter by name: the witness when
// it is no controller's.
func (c *cluster) member(name string) *process {
	for _, x := range c.controllers {
		if strconv.Itoa(x.id) == name {
			return x.process
		}
	}
	return c.witness
}

func (c *cluster) processes() []*process {
	all := []*process{c.witness}
	for _, x := range c.controllers {
		all = append(all, x.process)
	}
	return all
}

// close ends everything and removes the directory.
func (c *cluster) close() error {
	for _, x := range c.controllers {
		_ = x.signal(syscall.SIGCONT)
		_ = x.signal(syscall.SIGTERM)
	}
	deadline := time.Now().Add(leaveTime)
	for _, x := range c.controllers {
		x.wait(time.Until(deadline))
	}
	// The witness leaves last: controllers that hand over need its vote.
	_ = c.witness.signal(syscall.SIGTERM)
	c.witness.wait(leaveTime)
	for _, p := range c.processes() {
		p.kill()
	}
	for _, r := range c.link {
		r.close()
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove what the demonstration left: %w", err)
	}
	return nil
}
