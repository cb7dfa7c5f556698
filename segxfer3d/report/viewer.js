"use strict";
// Scrolls through the slices of the volumes in the page. The address may name one: report.html#case=2&slice=40
(function () {
  const volumes = JSON.parse(document.getElementById("viewer-data").textContent);
  const canvas = document.getElementById("viewer-canvas");
  const choice = document.getElementById("viewer-case");
  const slider = document.getElementById("viewer-slice");
  const words = document.getElementById("viewer-words");
  const note = document.getElementById("viewer-note");
  const boxes = [document.getElementById("viewer-truth"), document.getElementById("viewer-prediction")];
  const sides = [document.getElementById("viewer-left"), document.getElementById("viewer-right")];
  const loaded = [];
  let current = 0;

  let group = null;
  volumes.forEach(function (volume, index) {
    if (!group || group.label !== volume.group) {
      group = document.createElement("optgroup");
      group.label = volume.group;
      choice.append(group);
    }
    const option = document.createElement("option");
    option.value = index;
    option.textContent = volume.name;
    group.append(option);
  });

  function picture(address) {
    return new Promise(function (resolve) {
      const image = new Image();
      image.onload = function () { resolve(image); };
      image.src = address;
    });
  }

  function load(index) {
    if (!loaded[index]) {
      loaded[index] = Promise.all([picture(volumes[index].image), picture(volumes[index].masks)]);
    }
    return loaded[index];
  }

  // the sides of pixels where a mask changes, as lines on the enlarged picture
  function outline(context, values, volume, channel, zoomX, zoomY, color, dash) {
    const at = function (row, column) {
      const inside = row >= 0 && column >= 0 && row < volume.height && column < volume.width;
      return inside ? values[4 * (row * volume.width + column) + channel] : 0;
    };
    let pixels = 0;
    context.beginPath();
    for (let row = 0; row <= volume.height; row++) {
      for (let column = 0; column <= volume.width; column++) {
        const here = at(row, column);
        if (here) { pixels++; }
        if (here !== at(row - 1, column)) {
          context.moveTo(column * zoomX, row * zoomY);
          context.lineTo((column + 1) * zoomX, row * zoomY);
        }
        if (here !== at(row, column - 1)) {
          context.moveTo(column * zoomX, row * zoomY);
          context.lineTo(column * zoomX, (row + 1) * zoomY);
        }
      }
    }
    context.strokeStyle = color;
    context.lineWidth = 2;
    context.setLineDash(dash);
    context.stroke();
    return pixels;
  }

  async function draw() {
    const index = current;
    const number = Number(slider.value);
    const volume = volumes[index];
    const pictures = await load(index);
    if (index !== current || number !== Number(slider.value)) { return; } // another was asked for meanwhile
    const zoom = Math.max(1, Math.floor(480 / Math.max(volume.width, volume.height * volume.aspect)));
    const zoomY = zoom * volume.aspect;
    canvas.width = volume.width * zoom;
    canvas.height = Math.round(volume.height * zoomY);
    const x = (number % volume.columns) * volume.width;
    const y = Math.floor(number / volume.columns) * volume.height;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(pictures[0], x, y, volume.width, volume.height, 0, 0, canvas.width, canvas.height);
    const small = document.createElement("canvas");
    small.width = volume.width;
    small.height = volume.height;
    const reader = small.getContext("2d", { willReadFrequently: true });
    reader.drawImage(pictures[1], x, y, volume.width, volume.height, 0, 0, volume.width, volume.height);
    const values = reader.getImageData(0, 0, volume.width, volume.height).data;
    const pixels = [0, 1].map(function (channel) {
      if (!boxes[channel].checked) { return null; }
      return outline(context, values, volume, channel, zoom, zoomY, volume.colors[channel], channel ? [6, 4] : []);
    });
    sides[0].textContent = volume.marks[0];
    sides[1].textContent = volume.marks[1];
    note.textContent = volume.note;
    words.textContent = "slice " + (number + 1) + " of " + volume.slices + " (" + volume.thickness.toFixed(1) + " mm apart)";
    canvas.dataset.slice = number;
    canvas.dataset.truth = pixels[0];
    canvas.dataset.prediction = pixels[1];
    canvas.setAttribute("aria-label", volume.name + ", " + words.textContent);
  }

  function select(index, number) {
    current = Math.min(Math.max(0, index), volumes.length - 1);
    choice.value = current;
    slider.max = volumes[current].slices - 1;
    slider.value = number === null ? volumes[current].start : number;
    draw();
  }

  function move(step) {
    slider.value = Number(slider.value) + step;
    draw();
  }

  choice.addEventListener("change", function () { select(Number(choice.value), null); });
  slider.addEventListener("input", draw);
  boxes.forEach(function (box) { box.addEventListener("change", draw); });
  canvas.addEventListener("keydown", function (event) {
    const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
    if (event.key in steps) {
      event.preventDefault();
      move(steps[event.key]);
    } else if (event.key === "n" || event.key === "p") {
      select((current + (event.key === "n" ? 1 : volumes.length - 1)) % volumes.length, null);
    }
  });
  canvas.addEventListener("wheel", function (event) {
    if (document.activeElement === canvas) { // only where it was clicked: else the page scrolls
      event.preventDefault();
      move(event.deltaY < 0 ? 1 : -1);
    }
  }, { passive: false });

  function from_address() {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (asked.has("case")) {
      select(Number(asked.get("case")) || 0, asked.has("slice") ? Number(asked.get("slice")) || 0 : null);
    }
  }
  window.addEventListener("hashchange", from_address);
  select(0, null);
  from_address();
})();
