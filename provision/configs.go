package provision

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// word writes a string so that ctlconf reads it back, in quotes where it needs
// them.
func word(s string) string {
	if plain(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// size writes a number of bytes in the largest unit that leaves no rest.
func size(n uint64) string {
	for i, unit := range "TGMK" {
		if bits := 40 - 10*i; n>>bits<<bits == n {
			return strconv.FormatUint(n>>bits, 10) + string(unit)
		}
	}
	return strconv.FormatUint(n, 10)
}

// plain reports whether a word stands for itself, in a configuration and in a
// shell.
func plain(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:=@%+") == ""
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{"word": word, "size": size}).Parse(`
{{- define "arbiter"}}	arbiter embedded {
		data {{word .Self.Data}}
		listen {{.Self.Arbiter}}
{{- range .Members}}
		member {{.Name}} {{.Arbiter}}
{{- end}}
	}
{{- end}}

{{- define "ctl.conf" -}}
# Controller {{.Self.Name}} of cluster {{.Cluster}}. The grammar is that of ctl.conf(5), and a section
# ha. Check changes with: tandem check -c THIS-FILE
{{- if .Loopback}}
#
# Everything runs on this machine, for trying out: the controllers share
# its disk and its fate.
{{- else}}
#
# What to do next:
# - Copy this directory to {{.Self.Portal.Addr}}. Certificate and key below are found beside
#   this file. Keep the key to its owner. The directory ca stays where it is:
#   who has its key can make members of the cluster.
# - See that every path below leads to the same disk from each controller.
# - Choose a fence for each lun. Without one nobody takes over by himself when a
#   controller fails. For SCSI and NVMe disks with persistent reservations:
#       option fence pr
#   Else it is a command that switches the power of a controller off, by its id,
#   and returns 0 once it is off:
#       option fence "exec /usr/local/sbin/power-off %d"
# - Anybody who reaches the portal may log in. To let in only who knows a secret
#   (12 to 16 characters), define a group and name it in the target:
#       auth-group users { chap NAME SECRET }
{{- end}}

{{- if .PIDFile}}

pidfile {{word .PIDFile}}
{{- end}}
{{- if .Self.Socket}}
socket {{word .Self.Socket}}
{{- end}}
{{- if .Self.State}}
state {{word .Self.State}}
{{- end}}

ha {
	cluster {{word .Cluster}}
	id {{.Self.Name}}
	mode {{word .Mode}}
	role {{if .Primary}}primary{{else}}secondary{{end}}
	listen {{.Self.Link}}
{{- range .Peers}}
	peer {{.Name}} {{.Link}}
{{- end}}
	certificate node.pem
	key node.key
	ca ca.pem
	heartbeat 100ms
	lease 500ms
{{template "arbiter" .}}
}

portal-group pg0 {
	discovery-auth-group no-authentication
	listen {{.Self.Portal}}
}
{{range .LUNs}}
lun {{.Name}} {
	path {{word .Path}}
{{- if .Size}}
	size {{size .Size}}
{{- end}}
{{- if .BlockSize}}
	blocksize {{.BlockSize}}
{{- end}}
{{- if .Serial}}
	serial {{word .Serial}}
{{- end}}
	option shared on
	option fence {{word .Fence}}
{{- if .Home}}
	option ha_role {{if eq .Home $.Self.ID}}primary{{else}}secondary{{end}}
{{- end}}
}
{{end}}
target {{word .Target}} {
	auth-group no-authentication
	portal-group pg0
{{- range $number, $lun := .LUNs}}
	lun {{$number}} {{$lun.Name}}
{{- end}}
}
{{end}}

{{- define "witness.conf" -}}
# Witness of cluster {{.Cluster}}: it has a vote and serves no disk.
{{- if not .Loopback}}
#
# What to do next:
# - Copy this directory to {{.Self.Arbiter.Addr}}, a machine that does not fail together with a
#   controller. Certificate and key below are found beside this file.
{{- end}}
{{- if .PIDFile}}

pidfile {{word .PIDFile}}
{{- end}}

witness {
	cluster {{word .Cluster}}
	name {{.Self.Name}}
	certificate witness.pem
	key witness.key
	ca ca.pem
{{template "arbiter" .}}
}
{{end}}`))

// view is what a template sees.
type view struct {
	*plan
	Self    place
	Members []place // of the arbiter
	Peers   []place
	PIDFile string
	Primary bool
}

// config writes the configuration of one member.
func (p *plan) config(name string, self place) ([]byte, error) {
	v := view{plan: p, Self: self, Members: slices.Concat(p.nodes, p.witnesses), PIDFile: p.pidFile(self), Primary: true}
	for _, n := range p.nodes {
		if n.ID == self.ID {
			continue
		}
		v.Peers = append(v.Peers, n)
		v.Primary = v.Primary && self.ID < n.ID
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, v); err != nil {
		return nil, fmt.Errorf("writing %s of %s: %w", name, self.Name, err)
	}
	return b.Bytes(), nil
}
