// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weirswitch/weir/cmd/internal/ofctl/ofprint"
	"github.com/weirswitch/weir/cmd/internal/ofctl/oftext"
	"github.com/weirswitch/weir/datapath/openflow"
)

// Where the elements of a table features message stand (OpenFlow 1.3, A.3.5.5): the message's type, its
// multipart header's end; in an element length, table and name.
const (
	typeMultipartRequest = 18
	multipartLen         = 16
	featuresTable        = 2
	featuresName         = 8
	featuresNameLen      = 32
)

func modTable(s *session, args []string) error {
	set, err := oftext.ParseTableSetting(args[2])
	if err != nil {
		return err
	}
	if set.Versions&s.plan.versions == 0 {
		return fmt.Errorf("table_mod '%s' requires one of the OpenFlow versions %s", args[2], versionNames(set.Versions))
	}
	s.plan.versions &= set.Versions
	if set.Miss {
		return errors.New("this program speaks no version of OpenFlow with this setting")
	}
	n, err := s.take(args[0])
	if err != nil {
		return err
	}
	table := uint8(openflow.TableAll)
	if args[1] != "all" && args[1] != "ALL" {
		if table, err = oftext.ParseTable(args[1], n); err != nil {
			return err
		}
	}
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	if set.Rename {
		return s.renameTable(c, table, set.Name)
	}
	for no := range uint8(openflow.TableAll) {
		if table != openflow.TableAll && no != table {
			continue
		}
		m, err := c.tableSetting(no, &set)
		if err != nil {
			return err
		}
		if m == nil {
			break
		}
		if err := s.changeAll(c, []openflow.Message{m}); err != nil {
			return err
		}
	}
	return nil
}

// tableSetting makes the message that changes one setting of a table and leaves the others; nil:
// the switch has no such table.
func (c *conn) tableSetting(no uint8, set *oftext.TableSetting) (*openflow.TableMod, error) {
	var d *openflow.TableDesc
	err := c.parts(&openflow.TableDescRequest{}, func(m openflow.Message, raw []byte) (bool, error) {
		r, ok := m.(*openflow.TableDescReply)
		if !ok {
			return false, c.s.refuse(raw)
		}
		for i := range r.Tables {
			if r.Tables[i].Table == no {
				d = &r.Tables[i]
			}
		}
		return r.More, nil
	})
	if err != nil || d == nil {
		return nil, err
	}
	m := &openflow.TableMod{Table: no, Set: true, Eviction: d.Eviction, Vacancy: d.Vacancy, VacancyDown: d.VacancyDown, VacancyUp: d.VacancyUp}
	switch {
	case set.Evict:
		m.Eviction = true
	case set.NoEvict:
		m.Eviction = false
	case set.Vacancy:
		m.KeepEviction, m.Vacancy, m.VacancyDown, m.VacancyUp = true, true, set.Down, set.Up
	case set.NoVacancy:
		m.KeepEviction, m.Vacancy = true, false
	}
	return m, nil
}

// renameTable sends the features of all tables back as they came, but for the name.
func (s *session) renameTable(c *conn, table uint8, name string) error {
	xid, err := c.send(&openflow.TableFeaturesRequest{})
	if err != nil {
		return err
	}
	var parts [][]byte
	for more := true; more; {
		raw, err := c.await(xid)
		if err != nil {
			return err
		}
		m, err := openflow.Decode(raw, c.proto())
		r, ok := m.(*openflow.TableFeaturesReply)
		if err != nil || !ok {
			return s.refuse(raw)
		}
		more = r.More
		parts = append(parts, raw)
	}
	xid = s.nextXID()
	for _, raw := range parts {
		raw[1] = typeMultipartRequest
		binary.BigEndian.PutUint32(raw[4:], xid)
		for b := raw[min(multipartLen, len(raw)):]; len(b) >= featuresName+featuresNameLen; {
			n := int(binary.BigEndian.Uint16(b))
			if n < featuresName+featuresNameLen || n > len(b) {
				break
			}
			if b[featuresTable] == table {
				field := b[featuresName : featuresName+featuresNameLen]
				clear(field)
				copy(field[:featuresNameLen-1], name)
			}
			b = b[n:]
		}
		if err := c.write(raw); err != nil {
			return err
		}
	}
	for more := true; more; {
		raw, err := c.await(xid)
		if err != nil {
			return err
		}
		m, err := openflow.Decode(raw, c.proto())
		if _, bad := m.(*openflow.Error); bad && err == nil {
			return s.refuse(raw)
		}
		r, ok := m.(*openflow.TableFeaturesReply)
		more = ok && r.More
	}
	return nil
}

// tlvMod changes the table of tunnel options.
func tlvMod(s *session, target, text string, cmd openflow.TLVCommand) error {
	maps, err := oftext.ParseTLVMaps(text)
	if err != nil {
		return err
	}
	c, err := s.openForFlows(target, oftext.NXMUp)
	if err != nil {
		return err
	}
	return s.changeAll(c, []openflow.Message{&openflow.TLVTableMod{Command: cmd, Maps: maps}})
}

func addTLVMap(s *session, args []string) error {
	return tlvMod(s, args[0], args[1], openflow.TLVAdd)
}

func delTLVMap(s *session, args []string) error {
	if len(args) > 1 {
		return tlvMod(s, args[0], args[1], openflow.TLVDelete)
	}
	return tlvMod(s, args[0], "", openflow.TLVClear)
}

func ctFlushZone(s *session, args []string) error {
	z, err := oftext.ParseZone(args[1])
	if err != nil {
		return err
	}
	return s.changeOn(args[0], &openflow.CTFlushZone{Zone: z})
}

func ctFlush(s *session, args []string) error {
	m, err := oftext.ParseCTFlush(args[1:])
	if err != nil {
		return err
	}
	return s.changeOn(args[0], m)
}

// changeOn sends one change in whatever version there is.
func (s *session) changeOn(target string, m openflow.Message) error {
	c, err := s.open(target, "mgmt", false)
	if err != nil {
		return err
	}
	refusal, err := c.change(m)
	if err != nil {
		return err
	}
	return s.refuse(refusal)
}

// parseGroupCommand prints a group as it would be sent.
func parseGroupCommand(s *session, args []string) error {
	g, err := oftext.ParseGroup(args[0], openflow.GroupAdd, oftext.Names{})
	if err != nil {
		return err
	}
	s.printf("usable protocols: %s\n", g.Usable)
	chosen := (g.Usable & s.plan.allowed).Lowest()
	if chosen == 0 {
		return errors.New("no usable protocol")
	}
	v := chosen.Version()
	s.printf("chosen version: %v\n", v)
	b, err := openflow.Encode(openflow.Proto{Version: v}, s.nextXID(), &g.GroupMod)
	if err != nil {
		return err
	}
	s.show(b, s.verbose(ofprint.Options{}, 0))
	return nil
}
