/* Planar walker of an osim_exo report: plain JavaScript on canvas, no library, no network. */
(function () {
  "use strict";

  var STAGE = {
    sky: "#12161d", ground: "#1d2430", edge: "#5b6a80", tick: "#3a4557", text: "#dfe6ef",
    faint: "#8e9bad", boneNear: "#c9d2de", boneFar: "#6d7889", ghost: "#7fd1ae",
    force: "#8ab8ff", torque: "#ffb454", belt: "#2f8f83"
  };
  var LIMB = { trunk: 0.105, thigh: 0.068, shank: 0.05, foot: 0.034 };

  /* Value of a series stored at equal steps, at a fraction 0..1 of its length. */
  function at(series, phase) {
    var last = series.length - 1;
    var position = Math.min(Math.max(phase, 0), 1) * last;
    var i = Math.min(Math.floor(position), last - 1);
    return series[i] + (series[i + 1] - series[i]) * (position - i);
  }

  function metres(pair, phase) {
    return [at(pair[0], phase) / 1e4, at(pair[1], phase) / 1e4];
  }

  function words(name) {
    return name.replace(/_(r|l)$/, "").replace(/_/g, " ");
  }

  function sideOf(name) {
    return /_l$/.test(name) ? "l" : "r";
  }

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

  function prepare(canvas) {
    var ratio = window.devicePixelRatio || 1;
    var width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    var pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    pen.lineCap = "round";
    pen.lineJoin = "round";
    return { pen: pen, width: width, height: height };
  }

  /* Map from slope coordinates (x along the slope, y normal to it) to the picture. */
  function camera(trial, phase, view, wide) {
    var drift = trial.start + (trial.end - trial.start) * phase;
    var scale = (view.height - 30) / (trial.stature * 1.15);
    var turn = trial.slope_deg * Math.PI / 180;
    var originX = wide ? (view.width - 300) / 2 : view.width * 0.6;
    var originY = view.height - 42 - Math.abs(Math.tan(turn)) * 20;
    return {
      scale: scale, turn: turn,
      to: function (point) {
        var x = point[0] - drift, y = point[1];
        return [originX + scale * (x * Math.cos(turn) - y * Math.sin(turn)),
                originY - scale * (x * Math.sin(turn) + y * Math.cos(turn))];
      },
      drift: drift
    };
  }

  function drawGround(pen, view, cam, travelled) {
    var reach = view.width / cam.scale;
    var left = cam.to([cam.drift - reach, 0]), right = cam.to([cam.drift + reach, 0]);
    pen.fillStyle = STAGE.ground;
    pen.beginPath();
    pen.moveTo(left[0], left[1]); pen.lineTo(right[0], right[1]);
    pen.lineTo(right[0], view.height + 400); pen.lineTo(left[0], view.height + 400);
    pen.fill();
    pen.strokeStyle = STAGE.edge;
    pen.lineWidth = 1.5;
    pen.beginPath(); pen.moveTo(left[0], left[1]); pen.lineTo(right[0], right[1]); pen.stroke();
    pen.strokeStyle = STAGE.tick;
    for (var x = -reach - ((travelled - reach) % 0.25) - 0.25; x < reach; x += 0.25) {
      var top = cam.to([cam.drift + x, 0]), foot = cam.to([cam.drift + x - 0.03, -0.05]);
      pen.beginPath(); pen.moveTo(top[0], top[1] + 1); pen.lineTo(foot[0], foot[1]); pen.stroke();
    }
  }

  function capsule(pen, from, to, width) {
    pen.lineWidth = width;
    pen.beginPath(); pen.moveTo(from[0], from[1]); pen.lineTo(to[0], to[1]); pen.stroke();
  }

  function landmarks(trial, phase, cam) {
    var found = {};
    Object.keys(trial.landmarks).forEach(function (name) {
      found[name] = cam.to(metres(trial.landmarks[name], phase));
    });
    return found;
  }

  function drawLeg(pen, at_, side, cam) {
    var names = ["hip_", "knee_", "ankle_"].map(function (n) { return at_[n + side]; });
    [[0, 1, LIMB.thigh], [1, 2, LIMB.shank]].forEach(function (bone) {
      if (names[bone[0]] && names[bone[1]]) {
        capsule(pen, names[bone[0]], names[bone[1]], bone[2] * cam.scale);
      }
    });
    var foot = ["ankle_", "heel_", "ball_", "toe_"].map(function (n) { return at_[n + side]; })
      .filter(Boolean);
    if (foot.length > 1) {
      pen.lineWidth = LIMB.foot * cam.scale;
      pen.beginPath();
      foot.forEach(function (p, i) { if (i) { pen.lineTo(p[0], p[1]); } else { pen.moveTo(p[0], p[1]); } });
      pen.closePath(); pen.stroke(); pen.fill();
    }
  }

  function drawTrunk(pen, at_, cam) {
    var base = at_.lumbar || at_.torso || at_.pelvis, neck = at_.neck;
    if (!neck && base && at_.head) {
      neck = [base[0] + 0.74 * (at_.head[0] - base[0]), base[1] + 0.74 * (at_.head[1] - base[1])];
    }
    var chain = [at_.pelvis, at_.lumbar, at_.torso, neck].filter(Boolean);
    for (var i = 1; i < chain.length; i += 1) {
      capsule(pen, chain[i - 1], chain[i], LIMB.trunk * cam.scale);
    }
    if (at_.head) {
      if (neck) { capsule(pen, neck, at_.head, 0.05 * cam.scale); }
      pen.beginPath(); pen.arc(at_.head[0], at_.head[1], 0.095 * cam.scale, 0, 2 * Math.PI); pen.fill();
    }
  }

  function drawBody(pen, trial, phase, cam, colours) {
    var at_ = landmarks(trial, phase, cam);
    var known = at_.hip_r && at_.knee_r || at_.hip_l && at_.knee_l;
    pen.strokeStyle = pen.fillStyle = colours.near;
    if (!known) {
      Object.keys(at_).forEach(function (name) {
        pen.beginPath(); pen.arc(at_[name][0], at_[name][1], 3.5, 0, 2 * Math.PI); pen.fill();
      });
      return;
    }
    pen.strokeStyle = pen.fillStyle = colours.far;
    drawLeg(pen, at_, "l", cam);
    if (colours.muscles) { colours.muscles("l"); }
    pen.strokeStyle = pen.fillStyle = colours.near;
    drawTrunk(pen, at_, cam);
    drawLeg(pen, at_, "r", cam);
    if (colours.muscles) { colours.muscles("r"); }
  }

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
      var path = muscle.path.map(function (p) { return cam.to(metres(p, phase)); });
      [["rgba(10, 13, 18, 0.75)", 2.4], [self.colour(active), 0]].forEach(function (layer) {
        pen.strokeStyle = layer[0];
        pen.lineWidth = (side === "r" ? 2.2 : 1.5) + 5 * active + layer[1];
        pen.beginPath();
        path.forEach(function (p, i) { if (i) { pen.lineTo(p[0], p[1]); } else { pen.moveTo(p[0], p[1]); } });
        pen.stroke();
      });
    });
  };

  function arrowHead(pen, tip, angle, size) {
    pen.beginPath();
    pen.moveTo(tip[0], tip[1]);
    pen.lineTo(tip[0] - size * Math.cos(angle - 0.45), tip[1] - size * Math.sin(angle - 0.45));
    pen.lineTo(tip[0] - size * Math.cos(angle + 0.45), tip[1] - size * Math.sin(angle + 0.45));
    pen.closePath(); pen.fill();
  }

  function drawForces(pen, trial, phase, cam) {
    ["l", "r"].forEach(function (side) {
      var grf = trial.grf[side];
      if (!grf) { return; }
      var force = [at(grf[0], phase) / 1000, at(grf[1], phase) / 1000];
      if (force[1] < 0.03) { return; }
      var foot = metres([grf[2], grf[3]], phase);
      var from = cam.to(foot), to = cam.to([foot[0] + 0.55 * force[0], foot[1] + 0.55 * force[1]]);
      var angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
      pen.globalAlpha = side === "r" ? 1 : 0.55;
      pen.strokeStyle = pen.fillStyle = STAGE.force;
      capsule(pen, from, [to[0] - 6 * Math.cos(angle), to[1] - 6 * Math.sin(angle)], 2.5);
      arrowHead(pen, to, angle, 11);
      pen.globalAlpha = 1;
    });
  }

  /* Positive values turn the limb forwards, counter-clockwise in the picture: hip flexion. */
  function drawTorques(pen, trial, phase, cam) {
    var at_ = landmarks(trial, phase, cam);
    trial.exo.forEach(function (exo) {
      var centre = at_[exo.joint], end = at_[exo.limb];
      if (!centre) { return; }
      var torque = at(exo.torque, phase) / 100, near = sideOf(exo.joint) === "r";
      var radius = (near ? 0.135 : 0.105) * cam.scale;
      pen.globalAlpha = near ? 1 : 0.6;
      pen.fillStyle = STAGE.belt;
      pen.beginPath(); pen.arc(centre[0], centre[1], 0.03 * cam.scale, 0, 2 * Math.PI); pen.fill();
      var share = Math.min(Math.abs(torque) / trial.exo_limit, 1);
      if (share > 0.02) {
        var start = end ? Math.atan2(end[1] - centre[1], end[0] - centre[0]) : Math.PI / 2;
        var sweep = (0.25 + 2.2 * share) * (torque > 0 ? -1 : 1);
        var stop = start + sweep, spread = Math.sign(sweep) * 9 / radius;
        pen.strokeStyle = pen.fillStyle = STAGE.torque;
        pen.lineWidth = 2.5 + 3.5 * share;
        pen.beginPath();
        pen.arc(centre[0], centre[1], radius, start, stop - spread / 2, sweep < 0); pen.stroke();
        arrowHead(pen, [centre[0] + radius * Math.cos(stop), centre[1] + radius * Math.sin(stop)],
          stop + Math.sign(sweep) * (Math.PI / 2 - 0.1), 9 + 6 * share);
      }
      pen.globalAlpha = 1;
    });
  }

  /* The number keeps the sign of the coordinate; the word says which way the limb is turned. */
  function torqueText(exo, phase) {
    var forward = at(exo.torque, phase) / 100, torque = forward * exo.signs[0];
    var word = Math.abs(torque) < 0.05 ? "" : " " + exo.signs[forward > 0 ? 1 : 2];
    return (torque < 0 ? "\u2212" : "+") + Math.abs(torque).toFixed(1) + " Nm" + word;
  }

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
      pen.fillText("exo " + side + words(exo.joint) + "  " + torqueText(exo, phase), 16, y += 18);
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

  function label(pen, text, y) {
    pen.font = "10px system-ui, sans-serif";
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.lineWidth = 3;
    pen.strokeStyle = "#181e27";
    pen.strokeText(text, 6, y + 1);
    pen.fillStyle = STAGE.text;
    pen.fillText(text, 6, y + 1);
    pen.textBaseline = "alphabetic";
  }

  /* Stance bars and exo torque over the gait cycle, on the scrubber's own axis. */
  Player.prototype.drawTrack = function () {
    var view = prepare(this.track), pen = view.pen, trial = this.trial;
    ["r", "l"].forEach(function (side, row) {
      var grf = trial.grf[side], n = 200;
      pen.fillStyle = side === "r" ? "#8ab8ff" : "#5d7fb4";
      for (var i = 0; grf && i < n; i += 1) {
        if (at(grf[1], i / n) > 30) {
          pen.fillRect(view.width * i / n, 3 + row * 13, view.width / n + 0.6, 11);
        }
      }
      if (grf) { label(pen, (side === "r" ? "right" : "left") + " stance", 8 + row * 13); }
    });
    if (trial.exo.length) { label(pen, "exo torque, right bold", 36); }
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
    var view = prepare(this.stage), pen = view.pen, trial = this.trial, phase = this.phase;
    var wide = view.width > 640 && this.data.muscle_names.length > 0;
    var cam = camera(trial, phase, view, wide), self = this;
    drawGround(pen, view, cam, (this.laps + phase) * (trial.end - trial.start));
    if (this.ghost) {
      pen.globalAlpha = 0.42;
      drawBody(pen, this.ghost, phase, camera(this.ghost, phase, view, wide),
        { near: STAGE.ghost, far: STAGE.ghost, muscles: null });
      pen.globalAlpha = 1;
    }
    var muscles = !this.shows("muscles") ? null : function (side) {
      self.drawMuscles(pen, trial, phase, cam, side);
    };
    drawBody(pen, trial, phase, cam, { near: STAGE.boneNear, far: STAGE.boneFar, muscles: muscles });
    if (this.shows("forces")) { drawForces(pen, trial, phase, cam); }
    if (this.shows("torques")) { drawTorques(pen, trial, phase, cam); }
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
