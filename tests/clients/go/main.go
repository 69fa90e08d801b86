// SPDX-License-Identifier: BSD-3-Clause

// A VFIO program in Go: the ioctls of examples/edu_dma.c, made by a runtime that has threads of its
// own, preempts them with signals, and links no C library.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// linux/vfio.h
const (
	vfioGetAPIVersion    = 0x3b64
	vfioCheckExtension   = 0x3b65
	vfioSetIOMMU         = 0x3b66
	vfioGroupGetStatus   = 0x3b67
	vfioGroupSetCont     = 0x3b68
	vfioGroupGetDeviceFD = 0x3b6a
	vfioDeviceGetInfo    = 0x3b6b
	vfioDeviceGetRegion  = 0x3b6c
	vfioDeviceGetIRQ     = 0x3b6d
	vfioDeviceSetIRQs    = 0x3b6e
	vfioIOMMUMapDMA      = 0x3b71
	vfioIOMMUUnmapDMA    = 0x3b72

	type1v2       = 3
	regionBAR0    = 0
	regionConfig  = 7
	irqMSI        = 1
	irqEventfd    = 1 << 2
	irqTrigger    = 1 << 5
	dmaRead       = 1
	dmaWrite      = 2
	groupViable   = 1
	pciCommand    = 4
	commandMaster = 4
)

// Registers of the device.
const (
	eduID      = 0x00
	eduFact    = 0x08
	eduStatus  = 0x20
	eduAck     = 0x64
	eduSrc     = 0x80
	eduDst     = 0x88
	eduCount   = 0x90
	eduCmd     = 0x98
	eduBuffer  = 0x40000
	eduBARSize = 0x100000
	size       = 1024
	iova       = 0x100000
)

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func require(what string, ok bool) {
	if !ok {
		fmt.Fprintf(os.Stderr, "%s: no\n", what)
		os.Exit(1)
	}
}

func ioctl(what string, fd int, cmd, arg uintptr) int {
	for {
		ret, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), cmd, arg)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			check(what, errno)
		}
		return int(ret)
	}
}

func open(path string) int {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	check(path, err)
	return fd
}

type dmaMap struct {
	argsz, flags      uint32
	vaddr, iova, size uint64
}

type dmaUnmap struct {
	argsz, flags uint32
	iova, size   uint64
}

type regionInfo struct {
	argsz, flags, index, capOffset uint32
	size, offset                   uint64
}

type irqSet struct {
	argsz, flags, index, start, count uint32
	fd                                int32
}

func region(device int, index uint32) regionInfo {
	info := regionInfo{index: index}
	info.argsz = uint32(unsafe.Sizeof(info))
	ioctl("VFIO_DEVICE_GET_REGION_INFO", device, vfioDeviceGetRegion, uintptr(unsafe.Pointer(&info)))
	return info
}

type registers []byte

func (r registers) read(offset int) uint32 {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&r[offset])))
}

// Not an atomic store: that is an exchange, which reads too.
func (r registers) write(offset int, value uint32) {
	*(*uint32)(unsafe.Pointer(&r[offset])) = value
}

func (r registers) dma(src, dst uint32, flags uint32) {
	r.write(eduSrc, src)
	r.write(eduDst, dst)
	r.write(eduCount, size)
	r.write(eduCmd, flags|1)
	for r.read(eduCmd)&1 != 0 {
		time.Sleep(time.Millisecond)
	}
}

// Collects garbage all the time, so that threads stop and are signalled in the midst of everything.
func disturb(stop *int32) {
	for atomic.LoadInt32(stop) == 0 {
		_ = make([]byte, 1<<16)
		runtime.GC()
	}
}

func openDevice(bdf string) (container, device int) {
	link, err := os.Readlink("/sys/bus/pci/devices/" + bdf + "/iommu_group")
	check("iommu_group", err)
	container = open("/dev/vfio/vfio")
	require("API version 0", ioctl("VFIO_GET_API_VERSION", container, vfioGetAPIVersion, 0) == 0)
	require("type1v2", ioctl("VFIO_CHECK_EXTENSION", container, vfioCheckExtension, type1v2) == 1)

	group := open("/dev/vfio/" + filepath.Base(link))
	status := [2]uint32{8, 0}
	ioctl("VFIO_GROUP_GET_STATUS", group, vfioGroupGetStatus, uintptr(unsafe.Pointer(&status)))
	require("viable", status[1]&groupViable != 0)
	fd := int32(container)
	ioctl("VFIO_GROUP_SET_CONTAINER", group, vfioGroupSetCont, uintptr(unsafe.Pointer(&fd)))
	ioctl("VFIO_SET_IOMMU", container, vfioSetIOMMU, type1v2)
	name := append([]byte(bdf), 0)
	device = ioctl("VFIO_GROUP_GET_DEVICE_FD", group, vfioGroupGetDeviceFD, uintptr(unsafe.Pointer(&name[0])))
	info := [6]uint32{24}
	ioctl("VFIO_DEVICE_GET_INFO", device, vfioDeviceGetInfo, uintptr(unsafe.Pointer(&info)))
	require("9 regions, 5 interrupts", info[2] == 9 && info[3] == 5)
	return container, device
}

func setMaster(device int) {
	var config [64]byte
	offset := int64(region(device, regionConfig).offset)
	_, err := syscall.Pread(device, config[:], offset)
	check("read of config space", err)
	require("edu", binary.LittleEndian.Uint32(config[:]) == 0x11e81234)
	config[pciCommand] |= commandMaster
	_, err = syscall.Pwrite(device, config[pciCommand:pciCommand+2], offset+pciCommand)
	check("write of config space", err)
}

func roundTrip(container int, bar registers) {
	memory, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS)
	check("mmap of memory", err)
	m := dmaMap{32, dmaRead | dmaWrite, uint64(uintptr(unsafe.Pointer(&memory[0]))), iova, 4096}
	ioctl("VFIO_IOMMU_MAP_DMA", container, vfioIOMMUMapDMA, uintptr(unsafe.Pointer(&m)))
	for i := range memory[:size] {
		memory[i] = byte(i * 7)
	}
	bar.dma(iova, eduBuffer, 0)
	bar.dma(eduBuffer, iova+2048, 2)
	require("the data came back", bytes.Equal(memory[:size], memory[2048:2048+size]))
	u := dmaUnmap{24, 0, iova, 4096}
	ioctl("VFIO_IOMMU_UNMAP_DMA", container, vfioIOMMUUnmapDMA, uintptr(unsafe.Pointer(&u)))
	require("unmapped a page", u.size == 4096)
}

func factorial(device int, bar registers) {
	irq := [4]uint32{16, 0, irqMSI}
	ioctl("VFIO_DEVICE_GET_IRQ_INFO", device, vfioDeviceGetIRQ, uintptr(unsafe.Pointer(&irq)))
	require("one MSI", irq[3] == 1)
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC, 0)
	require("eventfd", errno == 0)
	set := irqSet{24, irqEventfd | irqTrigger, irqMSI, 0, 1, int32(fd)}
	ioctl("VFIO_DEVICE_SET_IRQS", device, vfioDeviceSetIRQs, uintptr(unsafe.Pointer(&set)))

	arrived := make(chan uint64)
	go func() {
		var count [8]byte
		_, err := syscall.Read(int(fd), count[:])
		check("read of the eventfd", err)
		arrived <- binary.LittleEndian.Uint64(count[:])
	}()
	bar.write(eduStatus, 0x80)
	bar.write(eduFact, 10)
	select {
	case count := <-arrived:
		require("one interrupt", count == 1)
	case <-time.After(5 * time.Second):
		require("interrupt", false)
	}
	bar.write(eduAck, 1)
	bar.write(eduStatus, 0)
	require("10! is 3628800", bar.read(eduFact) == 3628800)
}

func main() {
	bdf := "0000:01:00.0"
	if len(os.Args) > 1 {
		bdf = os.Args[1]
	}
	var stop int32
	go disturb(&stop)

	container, device := openDevice(bdf)
	setMaster(device)
	info := region(device, regionBAR0)
	require("1 MiB of registers", info.size == eduBARSize)
	mapped, err := syscall.Mmap(device, int64(info.offset), eduBARSize,
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	check("mmap of BAR 0", err)
	bar := registers(mapped)
	require("identification", bar.read(eduID) == 0x010000ed)
	roundTrip(container, bar)
	factorial(device, bar)
	atomic.StoreInt32(&stop, 1)
	fmt.Println("DMA round trip, 10! = 3628800, one interrupt")
}
