package etcd

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
)

// Limits of what is stored.
const (
	// MaxLUNs is the most grants that are read: those of the logical units of a
	// cluster (ha.MaxUnits), and of ones that were configured once.
	MaxLUNs = 16384
	// MaxLUNName is the longest name of a logical unit in bytes: an iSCSI
	// name (223) and ",lun,1023" fit.
	MaxLUNName = 255
	// maxName is the longest name of a cluster or member in bytes.
	maxName = 32
	// maxValueBytes is the longest value that is read.
	maxValueBytes = 4096
)

// keys names the keys of one cluster.
type keys struct{ prefix string }

func newKeys(cluster string) keys { return keys{prefix: "/tandem/" + cluster + "/"} }

func (k keys) grants() string            { return k.prefix + "grant/" }
func (k keys) grant(lun string) string   { return k.grants() + lun }
func (k keys) floors() string            { return k.prefix + "floor/" }
func (k keys) floor(lun string) string   { return k.floors() + lun }
func (k keys) alives() string            { return k.prefix + "alive/" }
func (k keys) alive(n ha.NodeID) string  { return k.alives() + strconv.Itoa(int(n)) }
func (k keys) ticket(n ha.NodeID) string { return k.prefix + "ticket/" + strconv.Itoa(int(n)) }
func (k keys) presence(n ha.NodeID) string {
	return k.prefix + "presence/" + strconv.Itoa(int(n))
}

// lun is the logical unit whose grant or floor key holds.
func (k keys) lun(key string) (string, error) {
	lun := strings.TrimPrefix(strings.TrimPrefix(key, k.grants()), k.floors())
	if err := checkLUN(lun); err != nil {
		return "", fmt.Errorf("key %q: %w", key, err)
	}
	return lun, nil
}

// holder is the controller whose lease the alive key stands for.
func (k keys) holder(key string) (ha.NodeID, error) {
	s := strings.TrimPrefix(key, k.alives())
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n < 1 || n > ha.MaxNodes || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("key %q: want a node id of 1 to %d", key, ha.MaxNodes)
	}
	return ha.NodeID(n), nil
}

// checkName refuses names that would not stand as one part of a key.
func checkName(what, name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%s name %q: want 1 to %d characters", what, name, maxName)
	}
	for _, c := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", c) {
			return fmt.Errorf("%s name %q: %q is not accepted, only letters, digits, '_' and '-'", what, name, c)
		}
	}
	return nil
}

func checkCluster(name string) error { return checkName("cluster", name) }

// checkNode refuses what is not a controller.
func checkNode(n ha.NodeID) error {
	if n < 1 || n > ha.MaxNodes {
		return fmt.Errorf("node id %d: want 1 to %d", n, ha.MaxNodes)
	}
	return nil
}

func checkLUN(lun string) error {
	if lun == "" || len(lun) > MaxLUNName {
		return fmt.Errorf("logical unit name of %d bytes: want 1 to %d", len(lun), MaxLUNName)
	}
	if !utf8.ValidString(lun) || strings.ContainsFunc(lun, unicode.IsControl) {
		return fmt.Errorf("logical unit name %q: want UTF-8 without control characters", lun)
	}
	return nil
}

func encodeGrant(g ha.Grant) string {
	b, err := json.Marshal(g)
	if err != nil {
		panic(fmt.Sprintf("a grant is always valid JSON: %v", err))
	}
	return string(b)
}

func decodeGrant(b []byte) (ha.Grant, error) {
	if len(b) > maxValueBytes {
		return ha.Grant{}, fmt.Errorf("grant of %d bytes, at most %d are accepted", len(b), maxValueBytes)
	}
	var g ha.Grant
	if err := json.Unmarshal(b, &g); err != nil {
		return ha.Grant{}, fmt.Errorf("grant: %w", err)
	}
	return g, checkGrant(g)
}

// checkGrant refuses what is not a grant that somebody holds.
func checkGrant(g ha.Grant) error {
	if g.Epoch == 0 {
		return fmt.Errorf("grant: epoch 0: want 1 or more")
	}
	if err := g.Validate(); err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	return nil
}

// checkChanges refuses a batch that must not be sent.
func checkChanges(changes []arbiter.Change) error {
	if len(changes) > MaxLUNs {
		return fmt.Errorf("%w: %d changes, at most %d are accepted", arbiter.ErrInvalid, len(changes), MaxLUNs)
	}
	seen := make(map[string]bool, len(changes))
	for _, c := range changes {
		if err := checkChange(c); err != nil {
			return fmt.Errorf("%w: logical unit %q: %w", arbiter.ErrInvalid, c.LUN, err)
		}
		if seen[c.LUN] {
			return fmt.Errorf("%w: logical unit %q is in the batch twice", arbiter.ErrInvalid, c.LUN)
		}
		seen[c.LUN] = true
	}
	return nil
}

func checkChange(c arbiter.Change) error {
	if err := checkLUN(c.LUN); err != nil {
		return err
	}
	if c.To.Epoch != c.From+1 {
		return fmt.Errorf("change from epoch %d to epoch %d: want the next", c.From, c.To.Epoch)
	}
	if err := checkGrant(c.To); err != nil {
		return err
	}
	for _, n := range []ha.NodeID{c.Held, c.Lapsed} {
		if n > ha.MaxNodes {
			return fmt.Errorf("lease of node id %d: want 1 to %d", n, ha.MaxNodes)
		}
	}
	return nil
}
