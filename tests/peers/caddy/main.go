// Caddy as its download page builds it with github.com/mholt/caddy-events-exec, which the module proxy does not have:
// what that plugin does at an event is written here again, by its documentation.
package main

import (
	"context"
	"os"
	"os/exec"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyevents"
	_ "github.com/caddyserver/caddy/v2/modules/caddyevents/eventsconfig"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
)

func main() {
	caddy.RegisterModule(run{})
	caddycmd.Main()
}

// `exec COMMAND ARGS...`: in the background, killed after 30 seconds; placeholders in the arguments alone.
type run struct {
	Command string   `json:"command,omitempty"`
	Args    []string `json:"args,omitempty"`
}

func (run) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.exec", New: func() caddy.Module { return new(run) }}
}

func (r *run) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		if !d.NextArg() {
			return d.ArgErr()
		}
		r.Command, r.Args = d.Val(), d.RemainingArgs()
	}
	return nil
}

func (r *run) Handle(event context.Context, _ caddy.Event) error {
	words := event.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	var args []string
	for _, arg := range r.Args {
		args = append(args, words.ReplaceAll(arg, ""))
	}
	limited, cancel := context.WithTimeout(event, 30*time.Second)
	command := exec.CommandContext(limited, r.Command, args...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	go func() {
		defer cancel()
		if err := command.Run(); err != nil {
			caddy.Log().Named("events.handlers.exec").Error("background command failed: " + err.Error())
		}
	}()
	return nil
}
