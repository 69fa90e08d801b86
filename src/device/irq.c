/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts: from the model to whoever listens, as the function's registers let them through. */
#include "device/device.h"
#include "device/internal.h"

static bool intx_visible(struct device *dev)
{
	u32 command = pci_config_get(&dev->pci, PCI_COMMAND, 2);

	return dev->intx_level && !(command & PCI_COMMAND_INTX_DISABLE) &&
	       !pci_msi_enabled(&dev->pci) && !pci_msix_enabled(&dev->pci);
}

void device_intx_update(struct device *dev)
{
	bool visible = intx_visible(dev);

	if (visible == dev->intx_seen)
		return;
	dev->intx_seen = visible;
	if (dev->sink && dev->sink->intx)
		dev->sink->intx(dev->sink_opaque, visible);
}

void device_set_intx(struct device *dev, bool level)
{
	dev->intx_level = level;
	pci_set_intx_status(&dev->pci, level);
	device_intx_update(dev);
}

void device_send_msi(struct device *dev, unsigned int vector)
{
	unsigned int vectors = 0;

	if (pci_msix_enabled(&dev->pci))
		vectors = dev->pci.msix.vectors;
	else if (pci_msi_enabled(&dev->pci))
		vectors = pci_msi_vectors(&dev->pci);
	/* A message is a write on the bus: it needs what DMA needs. */
	if (vector >= vectors || !pci_bus_master(&dev->pci) || pci_power_state(&dev->pci))
		return;
	if (dev->sink && dev->sink->msi)
		dev->sink->msi(dev->sink_opaque, vector);
}

void device_set_irq_sink(struct device *dev, const struct device_irq_sink *sink, void *opaque)
{
	pthread_mutex_lock(&dev->lock);
	dev->sink = sink;
	dev->sink_opaque = opaque;
	dev->intx_seen = false;
	device_intx_update(dev);
	pthread_mutex_unlock(&dev->lock);
}

bool device_intx_pending(struct device *dev)
{
	bool pending;

	pthread_mutex_lock(&dev->lock);
	pending = intx_visible(dev);
	pthread_mutex_unlock(&dev->lock);
	return pending;
}

static struct device *device_of(struct pci_function *fn)
{
	return container_of(fn, struct device, pci);
}

static void on_command(struct pci_function *fn, u16 old, u16 now)
{
	struct device *dev = device_of(fn);

	device_intx_update(dev);
	if (dev->model_ops && dev->model_ops->command)
		dev->model_ops->command(fn, old, now);
}

static void on_power(struct pci_function *fn, unsigned int old, unsigned int now)
{
	struct device *dev = device_of(fn);

	if (dev->model_ops && dev->model_ops->power)
		dev->model_ops->power(fn, old, now);
}

static void on_flr(struct pci_function *fn)
{
	struct device *dev = device_of(fn);

	device_reset_locked(dev, DEVICE_RESET_FUNCTION);
	if (dev->model_ops && dev->model_ops->flr)
		dev->model_ops->flr(fn);
}

static void on_msi(struct pci_function *fn)
{
	struct device *dev = device_of(fn);

	/* A function that signals by messages does not drive its pin, and forgets that it did. */
	if (pci_msi_enabled(fn) || pci_msix_enabled(fn))
		device_set_intx(dev, false);
	device_intx_update(dev);
	if (dev->model_ops && dev->model_ops->msi)
		dev->model_ops->msi(fn);
}

static void on_written(struct pci_function *fn, unsigned int offset, unsigned int width)
{
	struct device *dev = device_of(fn);

	if (dev->model_ops && dev->model_ops->written)
		dev->model_ops->written(fn, offset, width);
}

const struct pci_function_ops device_pci_ops = {
	.command = on_command,
	.power = on_power,
	.flr = on_flr,
	.msi = on_msi,
	.written = on_written,
};
