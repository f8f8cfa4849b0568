"""The two passes of the viewer as GLSL 3.30: layers over each other in linear light, and the way to the screen."""

from __future__ import annotations

COVER = """#version 330 core
void main() {
    vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
    gl_Position = vec4(corner, 0.0, 1.0);
}
"""

# Rows of the target are rows of the picture, from the top: nothing is turned over before the second pass.
LAYER = """#version 330 core
uniform sampler2D layer;
uniform bool moved;
uniform bool adds;
uniform vec2 offset;
uniform float scale;
uniform float opacity;
out vec4 color;

vec4 texel(ivec2 at) {
    ivec2 size = textureSize(layer, 0);
    if (at.x < 0 || at.y < 0 || at.x >= size.x || at.y >= size.y) return vec4(0.0);
    vec4 straight = texelFetch(layer, at, 0);
    return vec4(straight.rgb * straight.a, straight.a);
}

vec4 between(vec2 point) {
    vec2 corner = floor(point - 0.5);
    vec2 part = point - 0.5 - corner;
    ivec2 at = ivec2(corner);
    vec4 above = mix(texel(at), texel(at + ivec2(1, 0)), part.x);
    vec4 below = mix(texel(at + ivec2(0, 1)), texel(at + ivec2(1, 1)), part.x);
    return mix(above, below, part.y);
}

void main() {
    vec2 middle = vec2(textureSize(layer, 0)) * 0.5;
    vec4 sampled = moved ? between((gl_FragCoord.xy - middle - offset) / scale + middle)
                         : texel(ivec2(gl_FragCoord.xy));
    color = sampled * opacity;
    if (adds) color.a = 0.0;
}
"""

_SCREEN = """
uniform sampler2D side_a;
uniform sampler2D side_b;
uniform vec2 view_size;
uniform vec2 origin;
uniform vec2 scale;
uniform vec2 size;
uniform float level;       // of the sides' reduced pictures; below 0, the nearest pixel of the whole one
uniform int compare;       // 0 off, 1 wipe, 2 difference
uniform vec3 wipe;         // a normal from a to b, and how far the line is along it
uniform int background;    // 0 checkerboard, 1 a colour
uniform vec3 backdrop;
uniform vec2 checker_greys;
uniform float checker_size;
uniform int channel;       // 0 rgb, 1 r, 2 g, 3 b, 4 a, 5 luminance
uniform vec3 luminance;
uniform bool straight;
uniform float gain;
uniform float inverse_gamma;
uniform vec3 beside;
out vec4 color;

vec4 sampled(sampler2D side, vec2 point) {
    if (level >= 0.0) return textureLod(side, point / size, level);
    return texelFetch(side, clamp(ivec2(floor(point)), ivec2(0), ivec2(size) - 1), 0);
}

vec4 picture(vec2 point) {
    if (compare == 0) return sampled(side_a, point);
    if (compare == 1) {
        if (dot(wipe.xy, point) < wipe.z) return sampled(side_a, point);
        return sampled(side_b, point);
    }
    return vec4(abs(sampled(side_a, point).rgb - sampled(side_b, point).rgb), 1.0);
}

vec3 under(vec2 point) {
    if (background == 1) return backdrop;
    vec2 square = floor(point / checker_size);
    return vec3(mod(square.x + square.y, 2.0) < 0.5 ? checker_greys.x : checker_greys.y);
}

vec3 linear_light(vec4 light, vec2 point) {
    if (straight) return light.rgb * gain / (light.a > 0.0 ? light.a : 1.0);
    return light.rgb * gain + under(point) * (1.0 - light.a);
}

vec3 one_channel(vec3 rgb) {
    if (channel == 1) return rgb.rrr;
    if (channel == 2) return rgb.ggg;
    if (channel == 3) return rgb.bbb;
    if (channel == 5) return vec3(dot(rgb, luminance));
    return rgb;
}

void main() {
    vec2 on_screen = vec2(gl_FragCoord.x, view_size.y - gl_FragCoord.y) - origin;
    vec2 point = on_screen / scale;
    if (any(lessThan(point, vec2(0.0))) || any(greaterThanEqual(point, size))) {
        color = vec4(beside, 1.0);
        return;
    }
    vec4 light = picture(point);
    vec3 rgb;
    if (channel == 4) rgb = vec3(light.a * gain);
    else rgb = VIEW(vec4(one_channel(linear_light(light, on_screen)), 1.0)).rgb;
    color = vec4(pow(clamp(rgb, 0.0, 1.0), vec3(inverse_gamma)), 1.0);
}
"""


def screen_shader(view_text: str, view_function: str) -> str:
    """The second pass with an OCIO view in it."""
    return f"#version 330 core\n{view_text}\n{_SCREEN.replace('VIEW', view_function)}"
