/* Player of planar walkers in an osim_exo report: plain JavaScript, no library, no network. */
(function () {
  "use strict";

  var walker = window.osimWalker, STAGE = walker.stage, at = walker.at, sideOf = walker.sideOf;

  function Player(root) {
    this.root = root;
    this.data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    this.stage = root.querySelector("canvas.stage");
    this.track = root.querySelector("canvas.track");
    this.scrubber = root.querySelector("input.scrubber");
    this.playing = false;
    this.phase = 0;
    this.laps = 0;
    this.clock = null;
    this.bind();
    this.choose();
  }

  Player.prototype.field = function (name) {
    return this.root.querySelector("[data-field='" + name + "']");
  };

  Player.prototype.chosen = function (name) {
    var field = this.field(name);
    if (field.tagName === "SELECT") { return field.value; }
    var checked = field.querySelector("input:checked");
    return checked ? checked.value : "";
  };

  Player.prototype.shows = function (name) {
    return this.field(name).checked;
  };

  Player.prototype.bind = function () {
    var self = this;
    this.field("play").addEventListener("click", function () { self.toggle(); });
    this.scrubber.addEventListener("input", function () {
      self.phase = Number(self.scrubber.value) / 100;
      self.draw();
    });
    ["subject", "walk", "condition", "ghost"].forEach(function (name) {
      self.field(name).addEventListener("change", function () { self.choose(); });
    });
    ["muscles", "forces", "torques"].forEach(function (name) {
      self.field(name).addEventListener("change", function () { self.draw(); });
    });
    this.stage.addEventListener("keydown", function (event) { self.key(event); });
    this.stage.addEventListener("click", function () { self.toggle(); });
    this.track.addEventListener("pointerdown", function (event) {
      var box = self.track.getBoundingClientRect();
      self.seek((event.clientX - box.left) / box.width);
    });
    new ResizeObserver(function () { self.draw(); }).observe(this.stage);
  };

  Player.prototype.key = function (event) {
    var step = event.shiftKey ? 0.1 : 0.01;
    if (event.key === " " || event.key === "k") { this.toggle(); }
    else if (event.key === "ArrowRight") { this.seek((this.phase + step) % 1); }
    else if (event.key === "ArrowLeft") { this.seek((this.phase - step + 1) % 1); }
    else if (event.key === "Home") { this.seek(0); }
    else if (event.key === "End") { this.seek(1); }
    else { return; }
    event.preventDefault();
  };

  Player.prototype.seek = function (phase) {
    this.phase = Math.min(Math.max(phase, 0), 1);
    this.draw();
  };

  /* The trial of these choices; the condition falls back to the first that this walk has. */
  Player.prototype.find = function (condition) {
    var subject = this.chosen("subject"), walk = this.chosen("walk");
    return this.data.trials.filter(function (t) {
      return t.subject === subject && t.walk === walk && t.arm === condition;
    })[0] || null;
  };

  Player.prototype.choose = function () {
    var self = this, radios = this.field("condition").querySelectorAll("input");
    radios.forEach(function (radio) { radio.disabled = !self.find(radio.value); });
    if (!this.find(this.chosen("condition"))) {
      var free = Array.prototype.filter.call(radios, function (r) { return !r.disabled; })[0];
      radios.forEach(function (radio) { radio.checked = radio === free; });
    }
    this.trial = this.find(this.chosen("condition"));
    var ghost = this.chosen("ghost");
    this.ghost = ghost && ghost !== this.chosen("condition") ? this.find(ghost) : null;
    this.field("empty").hidden = Boolean(this.trial);
    this.laps = 0;
    this.draw();
  };

  Player.prototype.toggle = function () {
    this.playing = !this.playing;
    var button = this.field("play");
    button.setAttribute("aria-pressed", String(this.playing));
    button.textContent = this.playing ? "Pause" : "Play";
    this.clock = null;
    var self = this;
    if (this.playing) { requestAnimationFrame(function (now) { self.tick(now); }); }
  };

  Player.prototype.tick = function (now) {
    if (!this.playing || !this.trial) { return; }
    if (this.clock !== null) {
      var elapsed = Math.min((now - this.clock) / 1000, 0.1) * Number(this.chosen("rate"));
      this.phase += elapsed / this.trial.duration;
      if (this.phase >= 1) { this.laps += Math.floor(this.phase); this.phase %= 1; }
      this.draw();
    }
    this.clock = now;
    var self = this;
    requestAnimationFrame(function (next) { self.tick(next); });
  };

  Player.prototype.colour = function (value) {
    var scale = this.data.scale, share = value / this.data.activation_limit;
    var index = Math.round(Math.min(Math.max(share, 0), 1) * (scale.length - 1));
    return scale[index];
  };

  Player.prototype.drawMuscles = function (pen, trial, phase, cam, side) {
    var self = this;
    trial.muscles.forEach(function (muscle) {
      if (sideOf(muscle.name) !== side) { return; }
      var active = muscle.activation ? at(muscle.activation, phase) / 1000 : 0;
      var path = muscle.path.map(function (p) { return cam.to(walker.metres(p, phase)); });
      [["rgba(10, 13, 18, 0.75)", 2.4], [self.colour(active), 0]].forEach(function (layer) {
        pen.strokeStyle = layer[0];
        pen.lineWidth = (side === "r" ? 2.2 : 1.5) + 5 * active + layer[1];
        pen.beginPath();
        path.forEach(function (p, i) { if (i) { pen.lineTo(p[0], p[1]); } else { pen.moveTo(p[0], p[1]); } });
        pen.stroke();
      });
    });
  };

  Player.prototype.drawReadings = function (pen, trial, phase) {
    var y = 24;
    pen.textAlign = "left";
    pen.fillStyle = STAGE.text;
    pen.font = "600 14px system-ui, sans-serif";
    pen.fillText(trial.title, 16, y);
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = STAGE.faint;
    pen.fillText(trial.walk_title, 16, y += 18);
    if (this.ghost) {
      pen.fillStyle = STAGE.ghost;
      pen.fillText("outline: " + this.ghost.title, 16, y += 18);
    }
    if (!this.shows("torques")) { return; }
    pen.fillStyle = STAGE.torque;
    trial.exo.forEach(function (exo) {
      var side = sideOf(exo.joint) === "r" ? "right " : "left ";
      pen.fillText("exo " + side + walker.words(exo.joint) + "  " + walker.torqueText(exo, phase), 16, y += 18);
    });
  };

  Player.prototype.drawPanel = function (pen, view, trial, phase) {
    var bases = this.data.muscle_names, self = this;
    var left = view.width - 312, labels = 168, bar = 60, top = 44;
    var row = Math.min(24, (view.height - top - 78) / Math.max(bases.length, 1));
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = STAGE.faint;
    pen.textAlign = "left";
    pen.fillText("right", left + labels, top - 12);
    pen.fillText("left", left + labels + bar + 12, top - 12);
    bases.forEach(function (base, i) {
      var y = top + i * row;
      pen.fillStyle = STAGE.text;
      pen.textAlign = "right";
      if (row >= 10) { pen.fillText(self.data.muscle_labels[i], left + labels - 8, y + row / 2 + 1); }
      ["r", "l"].forEach(function (side, column) {
        var x = left + labels + column * (bar + 12);
        pen.fillStyle = "#232c39";
        pen.fillRect(x, y, bar, row - 6 > 3 ? row - 8 : row - 1);
        var muscle = trial.muscles.filter(function (m) { return m.name === base + "_" + side; })[0];
        if (!muscle || !muscle.activation) { return; }
        var active = at(muscle.activation, phase) / 1000;
        pen.fillStyle = self.colour(active);
        pen.fillRect(x, y, bar * Math.min(active / self.data.activation_limit, 1), row - 6 > 3 ? row - 8 : row - 1);
      });
    });
  };

  Player.prototype.drawLegend = function (pen, view) {
    var x = view.width - 262 + 20, y = view.height - 30, width = 220, n = this.data.scale.length;
    for (var i = 0; i < n; i += 1) {
      pen.fillStyle = this.data.scale[i];
      pen.fillRect(x + width * i / n, y, width / n + 0.5, 9);
    }
    pen.fillStyle = STAGE.faint;
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "left"; pen.fillText("0", x, y + 22);
    pen.textAlign = "center"; pen.fillText("activation", x + width / 2, y + 22);
    pen.textAlign = "right"; pen.fillText(this.data.activation_limit.toFixed(1), x + width, y + 22);
  };

  /* Stance bars and exo torque over the gait cycle, on the scrubber's own axis. */
  Player.prototype.drawTrack = function () {
    var view = walker.prepare(this.track), pen = view.pen, trial = this.trial;
    ["r", "l"].forEach(function (side, row) {
      var grf = trial.grf[side], n = 200;
      pen.fillStyle = side === "r" ? "#8ab8ff" : "#5d7fb4";
      for (var i = 0; grf && i < n; i += 1) {
        if (at(grf[1], i / n) > 30) {
          pen.fillRect(view.width * i / n, 3 + row * 13, view.width / n + 0.6, 11);
        }
      }
      if (grf) { walker.label(pen, (side === "r" ? "right" : "left") + " stance", 8 + row * 13); }
    });
    if (trial.exo.length) { walker.label(pen, "exo torque, right bold", 36); }
    pen.fillStyle = STAGE.tick;
    if (trial.exo.length) { pen.fillRect(0, 52, view.width, 1); }
    trial.exo.forEach(function (exo) {
      pen.strokeStyle = STAGE.torque;
      pen.globalAlpha = sideOf(exo.joint) === "r" ? 1 : 0.45;
      pen.lineWidth = 1.6;
      pen.beginPath();
      for (var i = 0; i <= 200; i += 1) {
        var y = 52 - 20 * (at(exo.torque, i / 200) / 100) / trial.exo_limit;
        if (i) { pen.lineTo(view.width * i / 200, y); } else { pen.moveTo(0, y); }
      }
      pen.stroke();
      pen.globalAlpha = 1;
    });
    pen.fillStyle = "rgba(223, 230, 239, 0.9)";
    pen.fillRect(view.width * this.phase - 1, 0, 2, view.height);
  };

  Player.prototype.draw = function () {
    if (!this.trial) { return; }
    var view = walker.prepare(this.stage), pen = view.pen, trial = this.trial, phase = this.phase;
    var wide = view.width > 640 && this.data.muscle_names.length > 0;
    var cam = walker.camera(trial, phase, view, wide), self = this;
    walker.drawGround(pen, view, cam, (this.laps + phase) * (trial.end - trial.start));
    if (this.ghost) {
      pen.globalAlpha = 0.42;
      walker.drawBody(pen, this.ghost, phase, walker.camera(this.ghost, phase, view, wide),
        { near: STAGE.ghost, far: STAGE.ghost, muscles: null });
      pen.globalAlpha = 1;
    }
    var muscles = !this.shows("muscles") ? null : function (side) {
      self.drawMuscles(pen, trial, phase, cam, side);
    };
    walker.drawBody(pen, trial, phase, cam, { near: STAGE.boneNear, far: STAGE.boneFar, muscles: muscles });
    if (this.shows("forces")) { walker.drawForces(pen, trial, phase, cam); }
    if (this.shows("torques")) { walker.drawTorques(pen, trial, phase, cam); }
    if (wide) { this.drawPanel(pen, view, trial, phase); }
    if (trial.muscles.length) { this.drawLegend(pen, view); }
    this.drawReadings(pen, trial, phase);
    this.drawTrack();
    this.report();
  };

  Player.prototype.report = function () {
    var percent = this.phase * 100, text = percent.toFixed(0) + " % of the gait cycle, " +
      (this.phase * this.trial.duration).toFixed(2) + " s";
    this.scrubber.value = percent;
    this.scrubber.setAttribute("aria-valuetext", text);
    this.field("time").textContent = text;
  };

  document.querySelectorAll("[data-osim-player]").forEach(function (root) {
    root.osimPlayer = new Player(root);
  });
}());
