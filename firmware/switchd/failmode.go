// SPDX-License-Identifier: Apache-2.0

package switchd

import "time"

// controllerLink is the state of a bridge towards one of its primary controllers, for the fail mode.
type controllerLink struct {
	silent time.Time     // since when it is not connected; zero: it is
	probe  time.Duration // its inactivity probe; 0: none
}

// takeover says whether a bridge in fail mode standalone is on its own: all its
// controllers have been silent for three times the longest inactivity probe
// (15 s if none probes), as ovs-vswitchd.conf.db(5) says of Bridge:fail_mode.
// next is when the answer can change without anything else happening; zero:
// never.
func takeover(links []controllerLink, now time.Time) (alone bool, next time.Time) {
	if len(links) == 0 {
		return false, time.Time{}
	}
	var probe time.Duration
	var last time.Time // since when all are silent
	for _, l := range links {
		if l.silent.IsZero() {
			return false, time.Time{}
		}
		if l.silent.After(last) {
			last = l.silent
		}
		probe = max(probe, l.probe)
	}
	wait := 3 * probe
	if probe == 0 {
		wait = 15 * time.Second
	}
	at := last.Add(wait)
	if now.Before(at) {
		return false, at
	}
	return true, time.Time{}
}
