package nemesis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/tandem-san/tandem/api"
	"github.com/tandem-san/tandem/iscsi/initiator"
)

// The logical units: clients work on one, the other is reserved. Controller 1 is
// the first primary of the one, controller 2 of the other.
const (
	dataLUN, dataName, dataSize = 0, "data", 16 << 20
	heldLUN, heldName, heldSize = 1, "held", 1 << 20
)

// options say what cluster to make.
type options struct {
	mode  int
	nodes int
	// fence of both logical units; "" for one that kills.
	fence string
	// clock draws the offset of the clock of a process; nil: 0.
	clock func() int
}

// cluster is a cluster with its networks.
type cluster struct {
	options
	dir         string
	target      string
	fabric      *fabric
	controllers []*controller // controller i has the id i+1
	witnesses   []*member
	noSlowDisk  error // why no disk can be made slow
}

// controller is a member with portals.
type controller struct {
	*member
	id     int
	portal string
	admin  *api.Client
}

// client is where initiators run.
func (c *cluster) client() *namespace { return c.fabric.hosts[clientHost] }

func (c *cluster) members() []*member {
	all := append([]*member(nil), c.witnesses...)
	for _, x := range c.controllers {
		all = append(all, x.member)
	}
	return all
}

func (c *cluster) member(host int) *member {
	for _, m := range c.members() {
		if m.host == host {
			return m
		}
	}
	return nil
}

// newCluster writes a cluster into dir and starts it. Whether it serves is for
// the caller to wait for. It must be closed, also after an error.
func newCluster(ctx context.Context, dir string, o options) (c *cluster, err error) {
	c = &cluster{options: o, dir: dir}
	if c.clock == nil {
		c.clock = func() int { return 0 }
	}
	witnesses := 1
	if o.nodes%2 == 1 {
		witnesses = 2
	}
	if err := c.write(witnesses); err != nil {
		return c, err
	}
	var ports []port
	ports = append(ports, port{clients, clientHost})
	for i := range witnesses {
		ports = append(ports, port{arbiter, witnessHost + i})
	}
	for i := range o.nodes {
		ports = append(ports, port{clients, i + 1}, port{link, i + 1}, port{arbiter, i + 1})
	}
	if c.fabric, err = newFabric(ports); err != nil {
		return c, err
	}
	for i := range witnesses {
		name := []string{"w", "w2"}[i]
		c.witnesses = append(c.witnesses, c.newMember(witnessHost+i, name, "witness", "witness.conf"))
	}
	for i := range o.nodes {
		name := fmt.Sprint(i + 1)
		c.controllers = append(c.controllers, &controller{
			member: c.newMember(i+1, name, "serve", "ctl.conf"),
			id:     i + 1,
			portal: port{clients, i + 1}.address() + ":3260",
			admin:  api.NewClient(filepath.Join(dir, name+".sock")),
		})
	}
	for _, m := range c.members() {
		if err := m.launch(ctx); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *cluster) newMember(host int, name, command, config string) *member {
	m := &member{
		name: hostName(host), host: host, on: c.fabric.hosts[host], clock: c.clock,
		args: []string{command, "-c", filepath.Join(c.dir, "conf", name, config)},
		log:  filepath.Join(c.dir, name+".log"),
	}
	disk, err := newSlowDisk(c.dir, fmt.Sprintf("%s-%s-%s", filepath.Base(workplace), filepath.Base(c.dir), name))
	if err != nil {
		c.noSlowDisk = err
	} else {
		m.disk = disk
	}
	return m
}

// write has tandem init write the configurations, of hosts with one address
// each, and gives them three.
func (c *cluster) write(witnesses int) error {
	fence := c.fence
	if fence == "" {
		fence = "process " + filepath.Join(c.dir, "%d.pid")
	}
	conf := filepath.Join(c.dir, "conf")
	args := []string{"init", "--dir", conf, "--mode", []string{"active-standby", "active-active", "active-active-forward"}[c.mode]}
	for i := range c.nodes {
		args = append(args, "--node", fmt.Sprintf("%d=%s", i+1, port{arbiter, i + 1}.address()))
	}
	for i := range witnesses {
		args = append(args, "--witness", port{arbiter, witnessHost + i}.address())
	}
	for i, l := range []struct {
		name string
		size int
	}{{dataName, dataSize}, {heldName, heldSize}} {
		args = append(args, "--lun", fmt.Sprintf("%s=%s,size=%d,home=%d,fence=%s", l.name, filepath.Join(c.dir, l.name+".img"), l.size, i+1, fence))
	}
	out, err := exec.Command(tandem, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("tandem init: %w: %s", err, out)
	}
	found := regexp.MustCompile(`log in to (\S+) at`).FindSubmatch(out)
	if found == nil {
		return fmt.Errorf("tandem init does not say where to log in: %s", out)
	}
	c.target = string(found[1])
	files, err := filepath.Glob(filepath.Join(conf, "*", "*.conf"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := c.spread(f); err != nil {
			return err
		}
	}
	return nil
}

var (
	linkAddress   = regexp.MustCompile(`10\.231\.\d+\.(\d+):7777`)
	portalAddress = regexp.MustCompile(`10\.231\.\d+\.(\d+):3260`)
)

// spread gives a member an address in each network and its files a place in
// the directory.
func (c *cluster) spread(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	name := filepath.Base(filepath.Dir(path))
	text := linkAddress.ReplaceAllString(string(b), fmt.Sprintf("10.231.%d.$1:7777", link))
	text = portalAddress.ReplaceAllString(text, fmt.Sprintf("10.231.%d.$1:3260", clients))
	text = strings.Replace(text, "/var/lib/tandem/arbiter", filepath.Join(c.dir, name+".arbiter"), 1)
	if filepath.Base(path) == "ctl.conf" {
		text = fmt.Sprintf("socket %s\nstate %s\n", filepath.Join(c.dir, name+".sock"), filepath.Join(c.dir, name+".state")) + text
		if !strings.Contains(text, "pidfile") {
			text = fmt.Sprintf("pidfile %s\n", filepath.Join(c.dir, name+".pid")) + text
		}
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// paths are sessions of an initiator to every controller.
func (c *cluster) paths(name string) (all []initiator.Config) {
	for _, x := range c.controllers {
		all = append(all, initiator.Config{
			Portal: x.portal, TargetName: c.target, InitiatorName: "iqn.2026-01.test:" + name, Dial: c.client().dial,
		})
	}
	return all
}

// pollTime is how often it is looked whether something has come true, askTime
// how long a controller has to answer.
const (
	pollTime = 30 * time.Millisecond
	askTime  = time.Second
)

// await waits until the cluster is whole: every logical unit is served, every
// controller is a candidate and sees every other.
func (c *cluster) await(ctx context.Context) error {
	last := errors.New("nothing was looked at")
	for {
		err := c.whole(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		if !pause(ctx, pollTime) {
			return fmt.Errorf("%w: %w", context.Cause(ctx), last)
		}
	}
}

func (c *cluster) whole(ctx context.Context) error {
	for _, m := range c.members() {
		if m.isLeaving() {
			return fmt.Errorf("%s has not yet ended as it was told to", m.name)
		}
	}
	errs := make([]error, len(c.controllers))
	serving := make([]int, len(c.controllers))
	var wg sync.WaitGroup
	for i, x := range c.controllers {
		wg.Go(func() { serving[i], errs[i] = c.fit(ctx, x) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	total := 0
	for _, n := range serving {
		total += n
	}
	if total != 2 {
		return fmt.Errorf("%d logical units are served, expected 2", total)
	}
	return nil
}

// fit tells whether a controller has all the others and is a candidate for all;
// and how many logical units it serves.
func (c *cluster) fit(ctx context.Context, x *controller) (serving int, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	s, err := x.admin.Status(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", x.name, err)
	}
	for _, n := range s.Nodes {
		if n.Link != 2 {
			return 0, fmt.Errorf("%s: no link to %d", x.name, n.ID)
		}
	}
	if s.Arbiter == nil || !s.Arbiter.Quorum {
		return 0, fmt.Errorf("%s: no arbiter", x.name)
	}
	if s.Drained { // one that stood still was told so later than not to be
		_, err := x.admin.Undrain(ctx, api.Maintenance{})
		return 0, fmt.Errorf("%s: drained; %w", x.name, err)
	}
	for _, l := range s.LUNs {
		if len(l.Candidates) != len(c.controllers) {
			return 0, fmt.Errorf("%s: of %s %v are candidates; %s", x.name, l.Name, l.Candidates, l.Doing)
		}
		if l.Serving {
			serving++
		}
	}
	return serving, nil
}

// close ends everything.
func (c *cluster) close() {
	var wg sync.WaitGroup
	for _, m := range c.members() {
		wg.Go(m.stop)
	}
	wg.Wait()
	if c.fabric != nil {
		c.fabric.close()
	}
}

// pause waits and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
