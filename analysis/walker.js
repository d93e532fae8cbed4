/* How a planar walker is drawn on a canvas; player.js decides what and when. */
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
    var originX = wide ? (view.width - 300) / 2 : view.width * 0.7;
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
    var hips = [at_.hip_r, at_.hip_l].filter(Boolean), root = at_.pelvis;
    if (!root && hips.length === 2) {
      root = [(hips[0][0] + hips[1][0]) / 2, (hips[0][1] + hips[1][1]) / 2];
    }
    if (!neck && base && at_.head) {
      neck = [base[0] + 0.74 * (at_.head[0] - base[0]), base[1] + 0.74 * (at_.head[1] - base[1])];
    }
    var chain = [root, at_.lumbar, at_.torso, neck].filter(Boolean);
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

  window.osimWalker = {
    stage: STAGE, at: at, metres: metres, words: words, sideOf: sideOf, prepare: prepare,
    camera: camera, drawGround: drawGround, drawBody: drawBody, drawForces: drawForces,
    drawTorques: drawTorques, torqueText: torqueText, label: label
  };
}());
